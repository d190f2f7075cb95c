%% Members that are not reached, and unauthenticated peers that are not let in.
-module(ram_unauthenticated_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, rounds/2]).
-import(ram_figure, [median/1]).
-import(ram_peers, [call/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([status_tells_where_a_member_was_tried_since_when_and_why_it_is_not_reached/1,
         a_member_tells_within_the_limit_whom_it_does_not_reach_and_why/1,
         a_restarted_member_is_back_at_once_while_unauthenticated_peers_flood_all/1,
         a_killed_leader_is_missed_for_a_moment_while_unauthenticated_peers_flood_all/1]).

-define(ALL, [1, 2, 3]).
%% Writing before the leader is killed, and in all.
-define(QUIET_MS, 300).
-define(WRITING_MS, 3000).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3, [], direct).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

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

a_restarted_member_is_back_at_once_while_unauthenticated_peers_flood_all(Config) ->
    Run = run(Config),
    Flood = flood(Run),
    Times = [begin
                 Follower = hd(?ALL -- [ram_peers:leader(Run, 1)]),
                 ok = ram_peers:kill(Run, Follower),
                 _ = ram_peers:restart(Run, Follower),
                 {Us, ok} = timer:tc(fun() -> call(Run, Follower, put, [back, Round]) end),
                 Us div 1000
             end || Round <- lists:seq(1, rounds(2, 5))],
    ok = ended(Flood, Run),
    ct:pal("the first put of a restarted member, in ms: ~w", [Times]),
    ram_figure:at_most("first put of a restarted member in a flood, median", median(Times), 1000,
                       "ms").

a_killed_leader_is_missed_for_a_moment_while_unauthenticated_peers_flood_all(Config) ->
    Run = run(Config),
    Flood = flood(Run),
    Gaps = [round_without_leader(Run, Round) || Round <- lists:seq(1, rounds(2, 5))],
    ok = ended(Flood, Run),
    ct:pal("without a leader, in ms: ~w", [Gaps]),
    ram_figure:at_most("a leader killed in a flood: median gap", median(Gaps), 500, "ms").

round_without_leader(Run, Round) ->
    Leader = ram_peers:leader(Run, 1),
    [One | _] = ?ALL -- [Leader],
    Write = fun() ->
                    exit(ram_peers:call(Run, One, ram_writers, write,
                                        [{Round, One}, Round, 2, ?WRITING_MS]))
            end,
    {Writer, Monitor} = spawn_monitor(Write),
    receive after ?QUIET_MS -> ok end,
    ok = ram_peers:kill(Run, Leader),
    #{gap_ms := Gap} = receive {'DOWN', Monitor, process, Writer, Written} -> Written end,
    _ = ram_peers:restart(Run, Leader),
    ram_peers:eventually(fun() -> call(Run, Leader, get, [counter]) > 0 end),
    round(Gap).

%% Unknown peers connect to all members, some of them from the addresses of members.
flood(Run) ->
    Places = [place(Run, I) || I <- ?ALL],
    ram_flood:start(Places, [{127, 0, 0, 1} | [Ip || {Ip, _Port} <- Places]]).

ended(Flood, Run) ->
    Refused = [maps:get(refusals, maps:get(net, call(Run, I, status, []))) || I <- ?ALL],
    ct:pal("~b connections of unauthenticated peers; refused by the members: ~p",
           [ram_flood:opened(Flood), Refused]),
    ram_flood:stop(Flood).

place(Run, I) ->
    {_Id, Address} = address(Run, I),
    [Host, Port] = string:split(Address, ":"),
    {ok, Ip} = inet:parse_address(binary_to_list(Host)),
    {Ip, binary_to_integer(Port)}.

address(Run, I) ->
    #{id := Id, address := Address} = call(Run, I, status, []),
    {Id, Address}.

outage(Run, I, Id) ->
    maps:get(outage, peer(Run, I, Id)).

peer(Run, I, Id) ->
    #{peers := Peers} = call(Run, I, status, []),
    hd([Peer || #{id := Each} = Peer <- Peers, Each =:= Id]).
