%% The application environment, checked. Every key is optional; an unknown key, or a value of the
%% wrong form, is an error that names it. Times are milliseconds, sizes are bytes.
-module(ram_config).

-export([read/0, check/1, named/2, reads/1]).
-export_type([settings/0, config/0]).

-define(WEEK_MS, 604800000).

%% What does not depend on the name of the node. `data_root': where its folder is by default.
-type settings() :: #{data_dir := default | binary(), data_root := binary(),
                      listen_host := default | binary(), atom() => term()}.
-type config() :: #{name := binary(), data_dir := binary(),
                    storage := any | disk | memory,
                    listen_host := binary(), listen_port := inet:port_number(),
                    advertise := binary(), call_timeout_ms := pos_integer(),
                    reads := ram:reads(), read_lease_ms := pos_integer() | nil, atom() => term()}.

%% @doc The settings of this node.
-spec read() -> {ok, settings()} | {error, {bad_config, atom(), binary()}}.
read() ->
    check([Pair || {Key, _} = Pair <- application:get_all_env(ram), Key =/= included_applications]).

%% @doc Checks a list of settings and fills in the defaults.
-spec check([{atom(), term()}]) -> {ok, settings()} | {error, {bad_config, atom(), binary()}}.
check(Settings) ->
    try {ok, timeouts(lists:foldl(fun set/2, defaults(), Settings))}
    catch
        throw:{bad_config, Key, Why} -> {error, {bad_config, Key, Why}}
    end.

%% @doc The settings as they are for a node of this name.
-spec named(settings(), node()) -> config().
named(#{data_root := Root, data_dir := Dir, listen_host := Host} = Settings, Node) ->
    Named = (maps:remove(data_root, Settings))#{name => atom_to_binary(Node),
                                                data_dir := data_dir(Dir, Root, Node)},
    case {Host, ram_distribution:listen(Node), Settings} of
        {default, {Listen, Known}, #{advertise := <<>>}} ->
            Named#{listen_host := Listen, advertise := Known};
        {default, {Listen, _Known}, _} ->
            Named#{listen_host := Listen};
        _ ->
            Named
    end.

data_dir(default, Root, Node) ->
    unicode:characters_to_binary(filename:join(Root, atom_to_list(Node)));
data_dir(Dir, _Root, _Node) ->
    Dir.

%% @doc Whether this is a way to read, in the environment or as an option.
-spec reads(term()) -> ok | {error, iodata()}.
reads(Reads) when Reads =:= lease; Reads =:= quorum; Reads =:= local -> ok;
reads(_) -> {error, "must be lease, quorum or local"}.

defaults() ->
    #{data_dir => default, data_root => path("ram_data"),
      storage => any,
      listen_host => default, listen_port => 0, advertise => <<>>,
      call_timeout_ms => 5000, reads => lease,
      heartbeat_ms => 40, election_timeout_min_ms => 120, election_timeout_max_ms => 200,
      %% The library finds one that the other times allow.
      read_lease_ms => nil,
      snapshot_every => 20000, watch_history_bytes => 16 bsl 20, owner_timeout_ms => 15000,
      %% A set, and nothing is said where the cluster has another one.
      default_table_type => nil,
      key_bytes_max => 64 bsl 10, value_bytes_max => 16 bsl 20, batch_bytes_max => 1 bsl 20,
      queue_bytes_max => 64 bsl 20, queue_requests_max => 65536, frame_bytes_max => 64 bsl 20}.

set({data_dir, Dir}, Config) ->
    try Config#{data_dir := path(filename:join([Dir]))}
    catch error:_ -> wrong(data_dir, "must be a path")
    end;
set({storage, Storage}, Config) when Storage =:= disk; Storage =:= memory ->
    Config#{storage := Storage};
set({storage, _}, _Config) ->
    wrong(storage, "must be disk or memory");
set({listen, {Host, Port}}, Config) when is_integer(Port), Port >= 0, Port =< 65535 ->
    Config#{listen_host := text(listen, Host), listen_port := Port};
set({listen, _}, _Config) ->
    wrong(listen, "must be {Host, Port} with a port of 0 to 65535");
set({advertise, {Host, Port}}, Config) when is_integer(Port), Port > 0, Port =< 65535 ->
    HostText = text(advertise, Host),
    Config#{advertise := <<HostText/binary, $:, (integer_to_binary(Port))/binary>>};
set({advertise, _}, _Config) ->
    wrong(advertise, "must be {Host, Port} with a port of 1 to 65535");
set({reads, Reads}, Config) ->
    case reads(Reads) of
        ok -> Config#{reads := Reads};
        {error, Why} -> wrong(reads, Why)
    end;
set({default_table_type, Type}, Config) when Type =:= set; Type =:= ordered_set ->
    Config#{default_table_type := Type};
set({default_table_type, _}, _Config) ->
    wrong(default_table_type, "must be set or ordered_set");
set({election_timeout_ms, {Min, Max}}, Config)
  when is_integer(Min), is_integer(Max), Min > 0, Max > Min ->
    Config#{election_timeout_min_ms := Min, election_timeout_max_ms := Max};
set({election_timeout_ms, _}, _Config) ->
    wrong(election_timeout_ms, "must be {Min, Max} with 0 < Min < Max");
set({release_cursor_count, Count}, Config) ->
    set({snapshot_every, Count}, Config);
set({Key, Value}, Config) ->
    case lists:member(Key, numbers()) of
        true when is_integer(Value), Value > 0 -> Config#{Key := at_most(most(Key), Key, Value)};
        true -> wrong(Key, "must be a positive integer");
        false -> wrong(Key, ["is not a key of ram; the keys are ", known()])
    end.

%% What `receive' can wait for, also some times over; and what the library can count. How the
%% sizes must fit each other it checks alone, when the application starts (config.rs).
most(call_timeout_ms) -> ?WEEK_MS;
most(_Key) -> 1 bsl 53.

at_most(Most, _Key, Value) when Value =< Most -> Value;
at_most(Most, Key, _Value) -> wrong(Key, ["must be at most ", integer_to_list(Most)]).

numbers() ->
    [call_timeout_ms, heartbeat_ms, read_lease_ms, snapshot_every, watch_history_bytes,
     owner_timeout_ms, key_bytes_max, value_bytes_max, batch_bytes_max, queue_bytes_max,
     queue_requests_max, frame_bytes_max].

known() ->
    Keys = [data_dir, storage, listen, advertise, reads, default_table_type, election_timeout_ms,
            release_cursor_count],
    lists:join(", ", [atom_to_list(Key) || Key <- lists:sort(Keys ++ numbers())]).

%% The default for calls outlasts an election, or losing the leader would cost errors and not time.
timeouts(#{heartbeat_ms := Heartbeat, election_timeout_min_ms := Min,
           election_timeout_max_ms := Max, call_timeout_ms := Call} = Config) ->
    Heartbeat >= 5 orelse
        wrong(heartbeat_ms, "must be at least 5"),
    Min >= 3 * Heartbeat orelse
        wrong(election_timeout_ms, least("Min", "3 times heartbeat_ms", 3 * Heartbeat)),
    Max >= Min + Heartbeat orelse
        wrong(election_timeout_ms, least("Max", "Min and heartbeat_ms together", Min + Heartbeat)),
    Call >= 2 * Max orelse
        wrong(call_timeout_ms, least("it", "twice Max of election_timeout_ms", 2 * Max)),
    ok = read_lease(Config),
    Config.

%% It is renewed between two heartbeats, and ends before the vote holds of those that granted it:
%% clocks may differ by 2 % (config.rs).
read_lease(#{read_lease_ms := nil}) ->
    ok;
read_lease(#{read_lease_ms := Lease, heartbeat_ms := Heartbeat,
             election_timeout_max_ms := Max}) ->
    Longest = Max * 99 div 101 - Heartbeat,
    Lease >= 2 * Heartbeat orelse
        wrong(read_lease_ms, least("it", "twice heartbeat_ms", 2 * Heartbeat)),
    Lease =< Longest orelse
        wrong(read_lease_ms, ["must be at most Max of election_timeout_ms less 2 % and "
                              "heartbeat_ms, which is ", integer_to_list(Longest)]),
    ok.

least(What, Than, Number) ->
    [What, " must be at least ", Than, ", which is ", integer_to_list(Number)].

text(_Key, Text) when is_binary(Text) ->
    Text;
text(Key, Text) ->
    try unicode:characters_to_binary(Text) of
        Binary when is_binary(Binary) -> Binary;
        _ -> wrong(Key, "the host must be a string")
    catch error:_ -> wrong(Key, "the host must be a string")
    end.

%% Whatever the working directory is later.
path(Name) ->
    case unicode:characters_to_binary(filename:absname(Name)) of
        Binary when is_binary(Binary) -> Binary;
        _ -> error(badarg)
    end.

%% Text as a binary: it is read in a report of the application that did not start.
-spec wrong(atom(), unicode:chardata()) -> no_return().
wrong(Key, Why) ->
    throw({bad_config, Key, unicode:characters_to_binary(Why)}).
