%% Who is not reached, and who is not let in: members that are missing, and strangers at the doors
%% of members.
-module(ram_strangers_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_peers, [call/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([status_tells_where_a_member_was_tried_since_when_and_why_it_is_not_reached/1,
         a_member_tells_within_the_limit_whom_it_does_not_reach_and_why/1]).

-define(ALL, [1, 2, 3]).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    [Case || {Case, 1} <- ?MODULE:module_info(exports), Case =/= module_info].

init_per_testcase(_Case, Config) ->
    Run = ram_peers:start(3, proplists:get_value(priv_dir, Config), [], direct),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    [{run, Run} | Config].

end_per_testcase(_Case, Config) ->
    ram_peers:stop(run(Config)).

run(Config) -> proplists:get_value(run, Config).

status_tells_where_a_member_was_tried_since_when_and_why_it_is_not_reached(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Lost | _] = ?ALL -- [Leader],
    #{id := Id, address := Address} = call(Run, Lost, status, []),
    ?assertMatch(#{outage := undefined}, peer(Run, Leader, Id)),
    ok = ram_peers:kill(Run, Lost),
    ram_peers:eventually(fun() -> outage(Run, Leader, Id) =/= undefined end),
    #{attempts := Attempts} = First = outage(Run, Leader, Id),
    ?assertMatch(#{address := Address, cause := connection_refused}, First),
    ram_peers:eventually(fun() -> maps:get(attempts, outage(Run, Leader, Id)) > Attempts end),
    ?assert(maps:get(lasts_ms, outage(Run, Leader, Id)) > maps:get(lasts_ms, First)),
    _ = ram_peers:restart(Run, Lost),
    ram_peers:eventually(fun() -> outage(Run, Leader, Id) =:= undefined end),
    #{net := #{connect_failures := Failures}} = call(Run, Leader, status, []),
    ?assert(Failures > Attempts).

a_member_tells_within_the_limit_whom_it_does_not_reach_and_why(Config) ->
    Run = run(Config),
    [One, Two, Three] = [address(Run, I) || I <- ?ALL],
    Reach = fun(Peers) -> ram_peers:call(Run, 1, ram_request, reach, [Peers, 2000]) end,
    {{Id2, At2}, {Id3, At3}} = {Two, Three},
    ?assertEqual({ok, [ok, ok]}, Reach([Two, Three])),
    ?assertMatch({ok, [{unreached, wrong_peer, _}, ok]}, Reach([{Id2 + 1, At2}, Three])),
    ok = ram_peers:kill(Run, 3),
    ?assertMatch({ok, [ok, {unreached, connection_refused, _}]}, Reach([Two, {Id3, At3}])),
    ?assertMatch({ok, [{unreached, wrong_peer, _}]}, Reach([One])).

address(Run, I) ->
    #{id := Id, address := Address} = call(Run, I, status, []),
    {Id, Address}.

outage(Run, I, Id) ->
    maps:get(outage, peer(Run, I, Id)).

peer(Run, I, Id) ->
    #{peers := Peers} = call(Run, I, status, []),
    hd([Peer || #{id := Each} = Peer <- Peers, Each =:= Id]).
