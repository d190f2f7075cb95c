%% What is held in memory of what was written: read back as it was, given back when it goes.
-module(ram_values_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([any_value_is_read_back_identically_on_every_node_in_every_way/1,
         readers_see_whole_values_while_writers_replace_them/1,
         memory_of_replaced_and_deleted_values_is_given_back/1,
         what_is_made_at_once_and_what_is_left_to_the_caller/1,
         bytes_that_are_no_value_are_kept_and_refused_to_readers/1,
         a_value_of_a_newer_otp_is_kept_for_those_who_can_read_it/1,
         large_values_do_not_hold_a_scheduler/1,
         keys_that_take_long_do_not_hold_a_scheduler/1,
         values_of_every_kind_survive_a_restart_from_a_snapshot/1]).
%% On the nodes.
-export([put_all/2, mismatches/3, replace/2, check/2, fill/1, churn/2, remove/1, settled_bytes/0,
         ways/2, put_bytes/2, read/2, update_same/1, raised/1, held_bytes/1, put_large/1,
         has_large/2, shortest_call_us/1, use_long_key/1]).

-define(TERMS, ram_case:amount(300, 600)).
-define(KEYS, 300).
-define(CHURNED, 20000).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [fill, remove, raised, held_bytes, put_large, shortest_call_us,
                           use_long_key, update_same]).

init_per_suite(Config) ->
    %% What was replaced stays in the history of watches for a while, which is another bound.
    ram_case:start_cluster(Config, 3, [{snapshot_every, 500}, {watch_history_bytes, 100000}]).

end_per_suite(Config) ->
    ram_case:stop(Config).

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, 120000).

%%% What is read is what was put

any_value_is_read_back_identically_on_every_node_in_every_way(Config) ->
    Run = run(Config),
    Values = random_values() ++ special_values(),
    ok = on(Run, 1, put_all, [value, Values]),
    [?assertEqual({I, Way, []}, {I, Way, on(Run, I, mismatches, [value, Values, Way])})
     || Way <- [lease, quorum, local], I <- [1, 2, 3]].

random_values() ->
    Seed = ram_property:seed(),
    ct:log("RAM_SEED=~p", [Seed]),
    {ok, Random} = proper_gen:pick(proper_types:vector(?TERMS, ram_terms:term()), 30,
                                   {Seed, 2, 3}),
    Random.

%% Around every border between two ways to hold a value.
special_values() ->
    Sizes = [0, 1, 63, 64, 65, 66, 255, 256, 2000, 2048, 65530, 65536, 300000],
    Integers = [N * Sign + D || N <- [0, 255, 256, 1 bsl 27, 1 bsl 31, 1 bsl 32, 1 bsl 59, 1 bsl 63,
                                      1 bsl 64, 1 bsl 200], Sign <- [1, -1], D <- [-1, 0, 1]],
    Nested = fun(Depth) -> lists:foldl(fun(N, Inner) -> {N, [Inner]} end, end_of_it,
                                       lists:seq(1, Depth)) end,
    records() ++ Integers
        ++ [{self(), make_ref(), fun lists:map/2, fun() -> Sizes end, hd(erlang:ports())},
                 #{pid => self(), 1.5 => [<<5:3>>, 1 bsl 70 | improper], "k" => #{a => {}}},
                 list_to_tuple(lists:seq(1, 300)), [a | b], [[] | []], {<<>>, [<<1>>]}]
        ++ [Nested(Depth) || Depth <- [1, 30, 62, 63, 64, 65, 128, 1000]]
        ++ [{N, [binary:copy(<<N>>, 100) || _ <- lists:seq(1, N)]} || N <- [1, 2, 3, 700]]
        ++ [true, false, undefined, '', 'ünïcode', list_to_atom(lists:duplicate(255, $a)),
                 'ram fetch', atom_of(unknown_elsewhere), 1.5, -0.0, 1.0e300, [], {}, #{}, <<5:3>>,
                 <<0:4099>>]
        ++ [binary:copy(<<7>>, Size) || Size <- Sizes]
        ++ [{blob, binary:copy(<<7>>, Size), "after"} || Size <- Sizes]
        ++ [lists:seq(1, Size) || Size <- Sizes, Size < 70000]
        ++ [lists:duplicate(Size, $c) || Size <- Sizes]
        ++ [Map || Size <- [1, 32, 33, 128, 129, 1000],
                   Flat <- [maps:from_list([{N, {N}} || N <- lists:seq(1, Size)])],
                   Map <- [Flat, [deep, {Flat}], #{Flat => 1}, "t\0\0\1\0", fun() -> Flat end]].

%% Native ones, where the virtual machine has them.
records() ->
    case ram_records:available() of
        true ->
            Record = ram_records:record(geo, point, true, [{x, [1]}, {y, <<0:4096>>}]),
            [Record, {Record}, [Record | Record], #{Record => Record},
             {[Record], lists:seq(1, 70000)},
             ram_records:record('', '', false, []),
             ram_records:record(m, r, false, [{y, Record}, {x, self()}])];
        false ->
            []
    end.

%% An atom that no other node has seen.
atom_of(Name) ->
    list_to_atom(lists:concat([Name, erlang:unique_integer([positive])])).

put_all(Name, Values) ->
    ram:put_many([{{Name, N}, Value} || {N, Value} <- numbered(Values)]).

%% @doc Which values this node reads in another way than as they are.
mismatches(Name, Values, Way) ->
    %% A local read is asked when this node has them.
    {ok, _} = ram:fetch({Name, length(Values)}, #{reads => quorum}),
    [Value || {N, Value} <- numbered(Values),
              not same({ram:fetch({Name, N}, #{reads => Way}),
                        ram:get({Name, N}, default, #{reads => Way})},
                       {{ok, Value}, Value})].

same(Read, Wanted) ->
    Read =:= Wanted andalso term_to_binary(Read) =:= term_to_binary(Wanted).

numbered(Values) ->
    lists:zip(lists:seq(1, length(Values)), Values).

%%% Memory

readers_see_whole_values_while_writers_replace_them(Config) ->
    Run = run(Config),
    [ok = on(Run, 1, replace, [{0, N}, [N, 1]]) || N <- lists:seq(1, ?KEYS)],
    {Puts, Reads} = ram_case:amount({500, 60000}, {1500, 200000}),
    Writers = ram_load:spawn_all(Run, [1, 2], 20, fun ?MODULE:replace/2, [?KEYS, Puts]),
    Readers = ram_load:spawn_all(Run, [1, 2, 3], 3, fun ?MODULE:check/2, [?KEYS, Reads]),
    ok = ram_load:wait_all(Writers),
    ok = ram_load:wait_all(Readers).

%% @doc Sets keys to values that tell which key they are of, and in another way than the first.
replace({0, N}, [N, 1]) ->
    ram:put({whole, N}, whole(N, N));
replace(_Number, [Keys, Times]) ->
    [begin
         N = rand:uniform(Keys),
         ok = ram:put({whole, N}, whole(N, rand:uniform(1 bsl 20)))
     end || _ <- lists:seq(1, Times)],
    ok.

whole(N, Random) ->
    Size = case Random rem 250 of 0 -> 9000; R when R < 6 -> 700; R -> R rem 40 end,
    Parts = [{N, Random, I} || I <- lists:seq(1, Size)],
    {N, Random, Parts, binary:copy(<<N:32>>, Size)}.

check(_Number, [Keys, Times]) ->
    %% So that this node has all of them.
    {ok, _} = ram:fetch({whole, Keys}, #{reads => quorum}),
    [begin
         N = rand:uniform(Keys),
         {N, Random, _, _} = Value = ram:get({whole, N}, none, #{reads => local}),
         Value = whole(N, Random)
     end || _ <- lists:seq(1, Times div 20)],
    ok.

memory_of_replaced_and_deleted_values_is_given_back(Config) ->
    Run = run(Config),
    ok = on(Run, 1, fill, [?CHURNED]),
    Before = memory(Run),
    %% At random, so that values of all ages lie beside each other. What is alive takes 15 MB; were
    %% the binaries of what was replaced kept, 50 MB more would stay.
    ok = on(Run, 1, churn, [6 * ?CHURNED, ?CHURNED]),
    %% A snapshot that is being written meanwhile holds for a moment what was replaced.
    ram_peers:eventually(fun() -> is_below(memory(Run), Before, 20000000) end),
    ok = on(Run, 1, remove, [?CHURNED]),
    ram_peers:eventually(fun() -> is_below(memory(Run), Before, -5000000) end).

is_below(Bytes, Before, More) ->
    Mega = fun(Node) -> [Size div 1000000 || Size <- Node] end,
    ct:pal("MB on each node: ~w, ~w before", [Mega(Bytes), Mega(Before)]),
    lists:all(fun({Now, Then}) -> Now < Then + More end, lists:zip(Bytes, Before)).

memory(Run) ->
    [on(Run, I, settled_bytes, []) || I <- [1, 2, 3]].

%% @doc With as many bytes before as the log keeps in memory.
fill(Keys) ->
    [ok = ram:put(filling, binary:copy(<<N>>, 1000000)) || N <- lists:seq(1, 50)],
    put_churned([{N, 0} || N <- lists:seq(1, Keys)]).

churn(Puts, Keys) ->
    put_churned([{rand:uniform(Keys), Put} || Put <- lists:seq(1, Puts)]).

put_churned([]) ->
    ok;
put_churned(Puts) ->
    {Now, Later} = lists:split(min(200, length(Puts)), Puts),
    ok = ram:put_many([{{churn, N}, churned(N, Put)} || {N, Put} <- Now]),
    put_churned(Later).

churned(N, Put) ->
    {churned, [{Put, N, I} || I <- lists:seq(1, 20)], binary:copy(<<N:32>>, 50)}.

remove(Keys) ->
    [ok = ram:delete_many([{churn, N} || N <- lists:seq(First, First + 99)])
     || First <- lists:seq(1, Keys, 100)],
    ok.

%% @doc What the virtual machine has allocated when nothing else is left to collect.
settled_bytes() ->
    _ = ram:fetch(settled, #{reads => quorum}),
    [garbage_collect(Pid) || Pid <- processes()],
    erlang:memory(total).

%%% How it is held

what_is_made_at_once_and_what_is_left_to_the_caller(Config) ->
    Run = run(Config),
    Large = binary:copy(<<7>>, 1000000),
    Made = [1, 1.5, an_atom, [], "text", <<"short">>, Large, {ok, Large, [a | self()]}, deep(120),
            maps:from_list([{N, {N}} || N <- lists:seq(1, 32)]), lists:seq(1, 10000), make_ref()],
    Left = [fun() -> Large end, {1, [fun(X) -> X end]}, lists:seq(1, 50000), deep(130),
            maps:from_list([{N, {N}} || N <- lists:seq(1, 33)])],
    [begin
         ok = on(Run, 1, put_all, [Wanted, Values]),
         [?assertEqual({Wanted, I, [Wanted || _ <- Values]},
                       {Wanted, I, on(Run, I, ways, [Wanted, length(Values)])}) || I <- [1, 2]]
     end || {Wanted, Values} <- [{ok, Made}, {encoded, Left}]].

deep(Depth) -> lists:foldl(fun(N, Inner) -> {N, Inner} end, bottom, lists:seq(1, Depth)).

%% @doc How the library answers.
ways(Name, Count) ->
    {ok, _} = ram:fetch({Name, Count}, #{reads => quorum}),
    {Member, _TimeoutMs, _Reads} = ram_request:member(),
    [element(1, ram_nif:fetch_now(Member, {Name, N}, local)) || N <- lists:seq(1, Count)].

%% Those of a term come from term_to_binary; these are what damage or a wrong peer could bring.
bytes_that_are_no_value_are_kept_and_refused_to_readers(Config) ->
    Run = run(Config),
    Bytes = [<<>>, <<131>>, <<97, 1>>, <<131, 97>>,
             %% Tags that only recipes have.
             <<131, 1, 119, 0:64>>, <<131, 2, 0:192>>, <<131, 3, 5:32, 131, 97, 1>>,
             <<131, 4, 0:192>>, <<2, 0:192>>, <<4, 0, 0, 0, 4, 0:192>>,
             %% A key twice, a float that is none, a name that is no text.
             <<131, 116, 2:32, 97, 1, 97, 1, 97, 1, 97, 2>>, <<131, 70, 16#7FF0:16, 0:48>>,
             <<131, 119, 3, 255, 255, 255>>, <<131, 104, 1, 88, 119, 1, $a, 0:88>>,
             %% More is said to come than comes.
             <<131, 105, 16#FFFFFFFF:32, 97, 1>>, <<131, 108, 16#FFFFFFFF:32, 97, 1, 106>>,
             <<131, 116, 16#FFFFFFFF:32>>, <<131, 109, 16#FFFFFFFF:32, 1>>,
             <<131, 111, 16#FFFFFFFF:32, 0>>, <<131, 112, 16#FFFFFFFF:32>>,
             <<131, 90, 65535:16, 119, 1, $a, 0:32>>, binary:copy(<<131, 104, 1>>, 5000),
             <<131, (binary:copy(<<104, 1>>, 30000))/binary>>,
             <<131, (binary:copy(<<113>>, 60000))/binary>>],
    [begin
         ok = on(Run, 1, put_bytes, [{bytes, N}, Value]),
         [begin
              ?assertEqual({I, Value, {unreadable_value, {bytes, N}}},
                           {I, Value, on(Run, I, raised, [{bytes, N}])}),
              ?assertEqual({I, Value}, {I, on(Run, I, held_bytes, [{bytes, N}])})
          end || I <- [1, 2]],
         ok = ram_peers:call(Run, 1, delete, [{bytes, N}])
     end || {N, Value} <- numbered(Bytes)].

%% Native records came with OTP 29. Here are their bytes, as a node with it would send them.
a_value_of_a_newer_otp_is_kept_for_those_who_can_read_it(Config) ->
    Run = run(Config),
    Record = ram_records:bytes(geo, point, true, [{x, 1}, {y, "two"}]),
    <<131, Part/binary>> = Record,
    lists:foreach(fun(Bytes) -> check_newer(Run, Bytes) end,
                  [Record, <<131, 104, 2, Part/binary, 97, 1>>,
                   <<131, 116, 1:32, 97, 1, Part/binary>>, <<131, 108, 1:32, Part/binary, 106>>]).

check_newer(Run, Bytes) ->
    ok = on(Run, 1, put_bytes, [newer, Bytes]),
    {Read, Updated} = case ram_records:available() of
                          true -> {{ok, binary_to_term(Bytes)}, ok};
                          false -> {{unreadable_value, newer}, {unreadable_value, newer}}
                      end,
    [begin
         [?assertEqual({I, Way, Read}, {I, Way, on(Run, I, read, [newer, Way])})
          || Way <- [lease, quorum, local]],
         ?assertEqual(Updated, on(Run, I, update_same, [newer])),
         ?assertEqual(Bytes, on(Run, I, held_bytes, [newer]))
     end || I <- [1, 2]],
    ok = ram_peers:call(Run, 2, put, [newer, known]),
    ?assertEqual({ok, known}, on(Run, 1, read, [newer, quorum])).

read(Key, Way) ->
    try ram:fetch(Key, #{reads => Way}) catch error:Reason -> Reason end.

update_same(Key) ->
    try ram:update(Key, none, fun(Value) -> Value end) catch error:Reason -> Reason end.

put_bytes(Key, Bytes) ->
    {Member, TimeoutMs, _Reads} = ram_request:member(),
    Ref = make_ref(),
    _Id = ram_nif:put(Member, Ref, <<>>, Key, Bytes, TimeoutMs),
    receive {Ref, {ok, _Revision}} -> ok end.

raised(Key) ->
    try ram:fetch(Key) catch error:Reason -> Reason end.

%% @doc As a transaction is told them.
held_bytes(Key) ->
    {Member, TimeoutMs, _Reads} = ram_request:member(),
    Ref = make_ref(),
    _Id = ram_nif:transaction(Member, Ref, <<>>, {[], [{get, none, Key}], []}, TimeoutMs),
    receive {Ref, {ran, true, _, [{Bytes, _, _, _, _, _}]}} -> Bytes end.

%% A NIF cannot be interrupted: what takes long has to be left to the caller.
large_values_do_not_hold_a_scheduler(Config) ->
    Run = run(Config),
    Names = [binary, list, string],
    [ok = on(Run, 1, put_large, [Name]) || Name <- Names],
    [begin
         [?assert(on(Run, I, has_large, [Name, Way])) || Way <- [lease, quorum, local]],
         Us = on(Run, I, shortest_call_us, [{large, Name}]),
         ct:pal("~p: the call takes ~b us", [Name, Us]),
         ?assert(Us < 3000)
     end || Name <- Names, I <- [1, 3]],
    [ok = ram_peers:call(Run, 1, delete, [{large, Name}]) || Name <- Names].

%% Made on the nodes: too large for the channel to the tests.
put_large(Name) -> ram:put({large, Name}, large(Name)).

has_large(Name, Way) -> ram:fetch({large, Name}, #{reads => Way}) =:= {ok, large(Name)}.

large(binary) -> binary:copy(<<7>>, 15 bsl 20);
large(list) -> lists:seq(1, 1000000);
large(string) -> lists:duplicate(60000, $c).

%% @doc Of ten calls into the library for this key.
shortest_call_us(Key) ->
    {Member, _TimeoutMs, _Reads} = ram_request:member(),
    lists:min([element(1, timer:tc(ram_nif, fetch_now, [Member, Key, local]))
               || _ <- lists:seq(1, 10)]).

%% They are encoded elsewhere, and may be used as any other.
keys_that_take_long_do_not_hold_a_scheduler(Config) ->
    Run = run(Config),
    lists:foreach(fun(Name) ->
                          Us = on(Run, 2, use_long_key, [Name]),
                          ct:pal("~p: the call takes ~b us", [Name, Us]),
                          ?assert(Us < 3000)
                  end, ram_terms:long_keys()).

use_long_key(Name) ->
    Key = ram_terms:long_key(Name),
    {Member, _TimeoutMs, _Reads} = ram_request:member(),
    {error, {bad_key, long}} = ram_nif:fetch_now(Member, Key, local),
    Us = shortest_call_us(Key),
    error = ram:fetch(Key),
    ok = ram:put(Key, 1),
    {ok, 1} = ram:fetch(Key, #{reads => quorum}),
    ok = ram:update(Key, 1, fun(N) -> N + 1 end),
    2 = ram:get(Key),
    ok = ram:put_many([{Key, 3}]),
    {ok, 3} = ram:fetch(Key),
    ok = ram:delete(Key),
    none = ram:get(Key, none, #{reads => lease}),
    %% What a local fun holds is not looked at.
    badarg = try ram:put([fun() -> Key end], 1) catch error:Reason -> Reason end,
    Us.

values_of_every_kind_survive_a_restart_from_a_snapshot(Config) ->
    Run = run(Config),
    Values = special_values(),
    ok = on(Run, 1, put_all, [kept, Values]),
    %% So many entries that the values are in a snapshot and not in the log that follows it.
    Index = fun(What) -> maps:get(What, ram_peers:call(Run, 2, status, [])) end,
    Put = Index(applied_index),
    Pad = fun(N) -> ok = ram_peers:call(Run, 1, put, [padding, binary:copy(<<N>>, 9000)]) end,
    ram_peers:eventually(fun() ->
                                 lists:foreach(Pad, lists:seq(1, 100)),
                                 Index(snapshot_index) > Put
                         end, 120000),
    ok = ram_peers:call(Run, 2, stop, []),
    ok = ram_peers:call(Run, 2, start, []),
    [?assertEqual([], on(Run, 2, mismatches, [kept, Values, Way]))
     || Way <- [lease, quorum, local]].
