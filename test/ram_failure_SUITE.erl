%% Leaders killed, frozen and stopped, links cut and healed; each case on nodes of its own.
-module(ram_failure_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, started/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_member_keeps_its_port_and_is_found_on_another_one/1,
         a_killed_leader_costs_time_but_no_value_and_no_error/1,
         a_frozen_leader_is_replaced_and_follows_when_it_wakes/1,
         a_leader_that_stops_hands_its_lead_over/1,
         a_minority_times_out_the_majority_goes_on_and_all_agree_after_healing/1,
         a_one_way_cut_does_not_stop_the_cluster/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config) ->
    ram_case:start(Config, 3, settings(Case)).

settings(a_minority_times_out_the_majority_goes_on_and_all_agree_after_healing) ->
    [{call_timeout_ms, 1500}];
settings(_) ->
    [].

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

a_member_keeps_its_port_and_is_found_on_another_one(Config) ->
    Run = run(Config),
    %% Without the wires between: each listens on any port of its own address.
    Unwire = fun(I) ->
                     ok = ram_peers:call(Run, I, application, unset_env, [ram, listen]),
                     ok = ram_peers:call(Run, I, application, unset_env, [ram, advertise])
             end,
    [Unwire(I) || I <- [1, 2, 3]],
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    #{address := Address} = call(Run, 3, status, []),
    ok = call(Run, 3, stop, []),
    ok = call(Run, 3, start, []),
    ?assertMatch(#{address := Address}, call(Run, 3, status, [])),
    ok = call(Run, 3, stop, []),
    %% Somebody else has taken the port.
    [Host, Port] = string:split(binary_to_list(Address), ":"),
    {ok, Ip} = inet:parse_address(Host),
    {ok, Taken} = gen_tcp:listen(list_to_integer(Port), [{ip, Ip}, {reuseaddr, true}]),
    ok = call(Run, 3, start, []),
    #{address := Other} = call(Run, 3, status, []),
    ?assertNotEqual(Address, Other),
    ok = call(Run, 1, put, [k, v]),
    ?assertEqual(v, call(Run, 3, get, [k])),
    gen_tcp:close(Taken).

a_killed_leader_costs_time_but_no_value_and_no_error(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    Survivors = [1, 2, 3] -- [Leader],
    Self = self(),
    [spawn_link(fun() ->
                        Self ! {written, ram_peers:call(Run, I, ram_load, write_on,
                                                        [{I, N}, [killed, 2500]])}
                end) || I <- Survivors, N <- [1, 2, 3]],
    receive after 1000 -> ok end,
    ok = ram_peers:kill(Run, Leader),
    Written = [receive {written, W} -> W end || _ <- Survivors, _ <- [1, 2, 3]],
    %% Nobody had to give up, and every acknowledged value is there on both.
    [begin
         ?assertEqual(lists:seq(1, length(Acknowledged)), Acknowledged),
         [?assertEqual(N, call(Run, I, get, [{killed, Number, N}]))
          || N <- Acknowledged, I <- Survivors]
     end || {Number, Acknowledged} <- Written].

a_frozen_leader_is_replaced_and_follows_when_it_wakes(Config) ->
    Run = started(Config),
    ok = call(Run, 1, put, [k, before]),
    Leader = ram_peers:leader(Run, 1),
    [Other, Another] = [1, 2, 3] -- [Leader],
    ok = ram_peers:suspend(Run, Leader),
    ok = call(Run, Other, put, [k, meanwhile]),
    ?assertEqual(meanwhile, call(Run, Another, get, [k])),
    ok = ram_peers:resume(Run, Leader),
    ?assertEqual(meanwhile, call(Run, Leader, get, [k])),
    ok = call(Run, Leader, put, [k, awake]),
    ?assertEqual(awake, call(Run, Other, get, [k])).

a_leader_that_stops_hands_its_lead_over(Config) ->
    Run = started(Config),
    lists:foreach(fun(_) ->
                          Leader = ram_peers:leader(Run, 1),
                          #{term := Term} = call(Run, Leader, status, []),
                          ok = call(Run, Leader, stop, []),
                          [Other | _] = Others = [1, 2, 3] -- [Leader],
                          %% When stop returns another one leads already: nobody waited for an
                          %% election timeout.
                          Leaders = [S || #{role := leader, term := T} = S
                                              <- [call(Run, I, status, []) || I <- Others],
                                          T =:= Term + 1],
                          ?assertMatch([_], Leaders),
                          ok = call(Run, Other, put, [k, v]),
                          ok = call(Run, Leader, start, []),
                          ?assertEqual(v, call(Run, Leader, get, [k]))
                  end, [1, 2, 3]).

a_minority_times_out_the_majority_goes_on_and_all_agree_after_healing(Config) ->
    Run = started(Config),
    ok = call(Run, 1, put, [k, before]),
    lists:foreach(fun(Cut) ->
                          Alone = case Cut of
                                      leader -> ram_peers:leader(Run, 1);
                                      follower -> hd([1, 2, 3] -- [ram_peers:leader(Run, 1)])
                                  end,
                          split(Run, Alone, Cut)
                  end, [leader, follower]).

%% Erlang distribution stays up all the while: only the wires of ram are cut.
split(Run, Alone, Value) ->
    [One, Two] = Majority = [1, 2, 3] -- [Alone],
    Links = ram_peers:links(Run),
    AloneNode = ram_peers:node(Run, Alone),
    ok = ram_links:cut_both(Links, [Alone], Majority),
    ?assertEqual({timeout, {ram, AloneNode}}, raised(Run, Alone, put, [lonely, Value])),
    ?assertEqual({timeout, {ram, AloneNode}}, raised(Run, Alone, get, [k])),
    ok = call(Run, One, put, [k, Value]),
    ?assertEqual(Value, call(Run, Two, get, [k])),
    Connected = ram_peers:call(Run, One, erlang, nodes, []),
    ?assert(lists:member(ram_peers:node(Run, Alone), Connected)),
    ok = ram_links:heal(Links),
    ?assertEqual(ok, eventually_ok(Run, Alone, put, [healed, Value])),
    [begin
         ?assertEqual(Value, call(Run, I, get, [k])),
         ?assertEqual(Value, call(Run, I, get, [healed]))
     end || I <- [1, 2, 3]],
    %% The lonely put is there for all or for none.
    ?assertMatch([_], lists:usort([call(Run, I, fetch, [lonely]) || I <- [1, 2, 3]])).

%% The first call after healing may still fall into the back-off of a connection.
eventually_ok(Run, I, Function, Arguments) ->
    ram_peers:eventually(fun() -> call(Run, I, Function, Arguments) =:= ok end).

a_one_way_cut_does_not_stop_the_cluster(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    [Deaf, Other] = [1, 2, 3] -- [Leader],
    ok = ram_links:cut(ram_peers:links(Run), Leader, Deaf),
    [ok = call(Run, Other, put, [one_way, N]) || N <- lists:seq(1, 20)],
    ?assertEqual(20, call(Run, Other, get, [one_way])),
    ok = ram_links:heal(ram_peers:links(Run)),
    ram_peers:eventually(fun() -> call(Run, Deaf, get, [one_way]) =:= 20 end),
    ok = call(Run, Deaf, put, [one_way, 21]),
    ?assertEqual(21, call(Run, Leader, get, [one_way])).
