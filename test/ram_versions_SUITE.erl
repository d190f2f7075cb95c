%% Nodes of several OTPs at once, each in a Debian of its own with what was compiled there (see
%% scripts/otp-root.sh). `make matrix' runs this: it makes these, and names their OTPs, from the
%% oldest to the newest, in RAM_VERSIONS.
-module(ram_versions_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([nodes_of_every_otp_are_one_cluster/1,
         a_member_comes_back_with_another_otp/1,
         a_native_record_is_a_named_error_where_the_otp_has_none/1,
         the_library_of_every_otp_is_loaded_on_every_other/1]).
%% Called on the nodes.
-export([put_record/1, read/2, library/0]).

-define(FIRST_WITH_RECORDS, 29).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE, [put_record]).

init_per_suite(Config) ->
    case [list_to_integer(Otp) || Otp <- string:lexemes(os:getenv("RAM_VERSIONS", ""), " ")] of
        [_, _ | _] = Given ->
            %% A majority is left when one ends.
            Otps = case Given of [Old, New] -> [Old, New, New]; _ -> Given end,
            %% Seen by all of them under the same name, unlike what is under _build.
            Folder = filename:join(os:getenv("TMPDIR", "/tmp"),
                                   lists:concat([?MODULE, "_", os:getpid()])),
            ok = filelib:ensure_path(Folder),
            [{otps, Otps}, {folder, Folder} | Config];
        _ ->
            {skip, "make matrix runs it: it takes a machine for each OTP"}
    end.

end_per_suite(Config) ->
    file:del_dir_r(folder(Config)).

nodes_of_every_otp_are_one_cluster(Config) ->
    with_cluster(Config, fun lose_the_leader/1).

lose_the_leader(Run) ->
    Members = ram_peers:members(Run),
    Put = [{{I, N}, Term} || I <- Members, {N, Term} <- lists:enumerate(terms(Run, I))],
    [ok = ram_peers:call(Run, I, put, [Key, Term]) || {{I, _} = Key, Term} <- Put],
    all_read(Run, Put),
    Leader = ram_peers:leader(Run, 1),
    ok = ram_peers:kill(Run, Leader),
    [ok = ram_peers:call(Run, I, put, [after_loss, I]) || I <- Members -- [Leader]],
    _ = ram_peers:restart(Run, Leader),
    all_read(Run, Put).

all_read(Run, Put) ->
    [?assertEqual({I, Way, Key, {ok, Term}}, {I, Way, Key, got(Run, I, Key, Way)})
     || I <- ram_peers:members(Run), Way <- [lease, quorum], {Key, Term} <- Put].

%% The first node takes the newest OTP and the last the oldest, as in an upgrade and its undoing.
a_member_comes_back_with_another_otp(Config) ->
    Turned = lists:reverse(otps(Config)),
    Machine = machine(Config, Turned, own),
    with_cluster(Config, fun(Run) ->
        Members = ram_peers:members(Run),
        Put = [come_back(Run, Run#{machine := Machine}, I) || I <- Members],
        ?assertEqual(Turned, running(Run)),
        all_read(Run, lists:append(Put))
    end).

come_back(Run, Turned, I) ->
    Terms = terms(Run, I),
    ok = ram_peers:call(Run, I, put, [{before, I}, Terms]),
    ok = ram_peers:halt(Run, I),
    _ = ram_peers:restart(Turned, I),
    ?assertEqual({ok, Terms}, got(Run, I, {before, I}, lease)),
    ok = ram_peers:call(Run, I, put, [{since, I}, Terms]),
    [{{When, I}, Terms} || When <- [before, since]].

a_native_record_is_a_named_error_where_the_otp_has_none(Config) ->
    case [I || {I, Otp} <- lists:enumerate(otps(Config)), Otp >= ?FIRST_WITH_RECORDS] of
        [Writer | _] = With ->
            with_cluster(Config, fun(Run) -> check_record(Run, Writer, With) end);
        [] ->
            {skip, "none of these OTPs has native records"}
    end.

check_record(Run, Writer, With) ->
    Without = ram_peers:members(Run) -- With,
    true = ram_peers:call(Run, Writer, ?MODULE, put_record, [k]),
    [begin
         [?assertEqual({I, Way, true}, {I, Way, on(Run, I, read, [k, Way]) =:= the_record})
          || I <- With],
         [?assertEqual({I, Way, {raised, {unreadable_value, k}}},
                       {I, Way, on(Run, I, read, [k, Way])}) || I <- Without]
     end || Way <- [lease, quorum]],
    %% It is intact, and written over like any other value.
    [ok = ram_peers:call(Run, I, put, [k, I]) || I <- Without],
    [?assertEqual({ok, lists:last(Without)}, got(Run, I, k, quorum)) || I <- With].

the_library_of_every_otp_is_loaded_on_every_other(Config) ->
    Otps = lists:usort(otps(Config)),
    Own = maps:from_list([{Otp, library_used(Config, Otp, Otp)} || Otp <- Otps]),
    [?assertEqual({Otp, Of, maps:get(Of, Own)}, {Otp, Of, library_used(Config, Otp, Of)})
     || Otp <- Otps, Of <- Otps, Otp =/= Of].

%% The checksum of the library that a node of this OTP worked with.
library_used(Config, Otp, Of) ->
    with_nodes(Config, [Otp], Of, fun(Run) ->
        ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
        ok = ram_peers:call(Run, 1, put, [k, {Otp, Of}]),
        ?assertEqual({ok, {Otp, Of}}, got(Run, 1, k, lease)),
        on(Run, 1, library, [])
    end).

%%% Nodes

%% A member of each OTP, in their order.
with_cluster(Config, Test) ->
    with_nodes(Config, otps(Config), own, fun(Run) ->
        ?assertEqual(otps(Config), running(Run)),
        ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
        Test(Run)
    end).

with_nodes(Config, Otps, LibraryOf, Test) ->
    Options = #{wires => direct, machine => machine(Config, Otps, LibraryOf)},
    Run = ram_peers:start(length(Otps), folder(Config), [], Options),
    try Test(Run) after ram_peers:stop(Run) end.

machine(Config, Otps, LibraryOf) ->
    Root = ram_case:root(),
    Library = [["RAM_MATRIX_LIBRARY=", integer_to_list(LibraryOf), " "] || LibraryOf =/= own],
    Built = filename:join([Root, "_build", "versions", "test", "lib", "ram"]),
    Paths = lists:append([["-pa", filename:join(Built, Part)] || Part <- ["ebin", "test"]]),
    fun(I) ->
            Otp = integer_to_list(lists:nth(I, Otps)),
            Words = ["env ", Library, "RAM_MATRIX_SHARED=", folder(Config), " ",
                     Root, "/scripts/otp-root.sh run ", Otp, " erl"],
            {lists:flatten(Words), Paths}
    end.

folder(Config) -> proplists:get_value(folder, Config).

otps(Config) -> proplists:get_value(otps, Config).

running(Run) ->
    [list_to_integer(ram_peers:call(Run, I, erlang, system_info, [otp_release]))
     || I <- ram_peers:members(Run)].

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments).

got(Run, I, Key, Way) ->
    on(Run, I, read, [Key, Way]).

%% Of every kind of term that all of them have, with what the node itself makes.
terms(Run, I) ->
    [ram_peers:call(Run, I, erlang, make_ref, []), ram_peers:call(Run, I, erlang, self, []),
     fun lists:map/2, 1 bsl 100, -1.5, <<5:3>>, "text", [a | b], 'ä☃',
     #{{} => [], 1.0 => binary:copy(<<"x">>, 100000)}].

%%% On a node

%% What of a native record would not reach a node without them stays here.
put_record(Key) ->
    ok =:= ram:put(Key, record()).

read(Key, Way) ->
    Record = ram_records:available() andalso record(),
    try ram:fetch(Key, #{reads => Way}) of
        {ok, Record} when Record =/= false -> the_record;
        Other -> Other
    catch
        error:Reason -> {raised, Reason}
    end.

record() ->
    ram_records:record(geo, point, true, [{x, 1}, {y, "two"}]).

library() ->
    {ok, Bytes} = file:read_file(filename:join(code:priv_dir(ram), "ram_nif.so")),
    erlang:md5(Bytes).
