%% A majority that is lost, and comes back: what the survivor says of it, once each.
-module(ram_quorum_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, call/5, eventually/1, eventually/2]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_survivor_tells_once_that_the_majority_is_lost_and_once_that_it_is_back/1,
         an_election_is_no_loss/1,
         a_member_of_one_has_its_majority/1]).

-define(LOST, "no majority of the cluster is reached").
-define(BACK, "a majority of the cluster is reached again").

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(_Case, Config) ->
    Started = ram_case:start(Config, 3, [], direct),
    Run = run(Started),
    [call(Run, I, logger, add_handler,
          [told, logger_std_h, #{config => #{file => log_file(Run, I)}}]) || I <- [1, 2, 3]],
    Started.

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

started(Config) -> ram_case:started(Config, 3, {k, v}).

log_file(Run, I) ->
    filename:join(ram_peers:folder(Run), lists:concat(["told", I])).

%% The lines of a node's log that have these words.
told(Run, I, Words) ->
    {ok, Text} = file:read_file(log_file(Run, I)),
    [Line || Line <- string:split(Text, "\n", all), string:find(Line, Words) =/= nomatch].

status(Run, I) ->
    call(Run, I, status, []).

heard_ms(Run, I, Of) ->
    Node = ram_peers:node(Run, Of),
    [Ms] = [Ms || #{node := N, heard_ms := Ms} <- maps:get(members, status(Run, I)), N =:= Node],
    Ms.

a_survivor_tells_once_that_the_majority_is_lost_and_once_that_it_is_back(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    ?assertMatch(#{role := leader, quorum := true, quorum_lost_ms := undefined},
                 status(Run, Leader)),
    Lost = [1, 2, 3] -- [Leader],
    [eventually(fun() -> heard_ms(Run, Leader, I) < 1000 end) || I <- Lost],
    [ok = ram_peers:kill(Run, I) || I <- Lost],
    eventually(fun() -> told(Run, Leader, ?LOST) =/= [] end, 10000),
    #{quorum := false, role := Role, leader := undefined, quorum_lost_ms := Ms} =
        status(Run, Leader),
    ?assertNotEqual(leader, Role),
    ?assert(is_integer(Ms)),
    %% It goes on being lost, and that is no news.
    eventually(fun() -> maps:get(quorum_lost_ms, status(Run, Leader)) > Ms + 2000 end),
    [Line] = told(Run, Leader, ?LOST),
    [?assertNotEqual(nomatch, string:find(Line, atom_to_list(ram_peers:node(Run, I))))
     || I <- Lost],
    ?assertEqual([], told(Run, Leader, ?BACK)),
    [?assert(heard_ms(Run, Leader, I) > 2000) || I <- Lost],
    _ = ram_peers:restart(Run, hd(Lost)),
    eventually(fun() -> told(Run, Leader, ?BACK) =/= [] end),
    ok = call(Run, Leader, put, [k, w]),
    ?assertMatch(#{quorum := true, quorum_lost_ms := undefined}, status(Run, Leader)),
    ?assertMatch([_], told(Run, Leader, ?LOST)),
    ?assertMatch([_], told(Run, Leader, ?BACK)).

an_election_is_no_loss(Config) ->
    Run = started(Config),
    Leader = ram_peers:leader(Run, 1),
    Left = [1, 2, 3] -- [Leader],
    ok = ram_peers:kill(Run, Leader),
    [ok = call(Run, I, put, [k, I]) || I <- Left],
    [?assertMatch(#{quorum := true}, status(Run, I)) || I <- Left],
    [?assertEqual([], told(Run, I, ?LOST)) || I <- Left].

a_member_of_one_has_its_majority(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [[ram_peers:node(Run, 1)]]),
    #{applied_index := Index} = status(Run, 1),
    ?assertMatch(#{role := leader, quorum := true}, status(Run, 1)),
    [ok = call(Run, 1, put, [I, I]) || I <- lists:seq(1, 300)],
    eventually(fun() -> maps:get(applied_index, status(Run, 1)) > Index end),
    ?assertMatch(#{role := leader, quorum := true}, status(Run, 1)),
    ?assertEqual([], told(Run, 1, ?LOST)).
