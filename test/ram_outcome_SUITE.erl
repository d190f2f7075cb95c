%% What a caller is told when its member ends under it: never that nothing happened when it may
%% have.
-module(ram_outcome_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_write_under_way_when_its_member_stops_may_have_happened/1,
         an_update_in_line_when_its_member_stops_has_not_happened/1,
         outcome_tells_what_certainly_did_not_happen_from_the_rest/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

%% The others have the entry, but who asked never hears of it.
a_write_under_way_when_its_member_stops_may_have_happened(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Asked | _] = [1, 2, 3] -- [Leader],
    ok = ram_peers:call(Run, Asked, put, [k, before]),
    ram_links:hold(ram_peers:links(Run), Leader, Asked),
    Writer = in_the_background(Run, Asked, put, [k, during]),
    ram_peers:eventually(fun() -> ram_peers:call(Run, Leader, get, [k]) =:= during end),
    ok = ram_peers:call(Run, Asked, stop, []),
    ?assertEqual({timeout, {ram, ram_peers:node(Run, Asked)}}, outcome(Writer)).

an_update_in_line_when_its_member_stops_has_not_happened(Config) ->
    Run = run(Config),
    %% Who is first in line takes a minute.
    ok = ram_peers:call(Run, 1, put, [k, 60000]),
    _ = in_the_background(Run, 1, update, [k, 0, fun timer:sleep/1]),
    wait_until_in_line(Run, 0),
    InLine = in_the_background(Run, 1, update, [k, 0, fun erlang:'-'/1]),
    wait_until_in_line(Run, 1),
    ok = ram_peers:call(Run, 1, stop, []),
    ?assertEqual(noproc, outcome(InLine)).

outcome_tells_what_certainly_did_not_happen_from_the_rest(Config) ->
    Run = run(Config),
    Node = ram_peers:node(Run, 1),
    Outcome = fun(Reason) -> ram_peers:call(Run, 1, outcome, [Reason]) end,
    NotApplied = [{ram, put, [{key, binary:copy(<<7>>, 70000)}, v]},
                  {ram, put, [fun() -> ok end, v]},
                  {ram_load, put_binary, [k, 17 bsl 20]},
                  {ram_load, put_many_binaries, [k, 2, 15 bsl 20]}],
    [?assertEqual({Reason, not_applied}, {Reason, Outcome(Reason)})
     || {Module, Function, Arguments} <- NotApplied,
        Reason <- [ram_peers:raised(Run, 1, Module, Function, Arguments)]],
    ?assertEqual(error, ram_peers:call(Run, 1, fetch, [k])),
    ?assertEqual(0, maps:get(entries, ram_peers:call(Run, 1, status, []))),
    ?assertEqual(not_applied, Outcome({overloaded, {ram, Node}})),
    ?assertEqual(not_applied, Outcome({refused, <<"why">>})),
    [?assertEqual({Reason, not_applied}, {Reason, Outcome(Reason)})
     || Reason <- [not_empty, {file, <<"f">>}, {not_member, Node}, {last_member, Node},
                   {already_clustered, [Node]}]],
    [?assertEqual(unknown, Outcome(Reason))
     || Reason <- [{timeout, {ram, Node}}, {failed, <<"why">>}, something_else]],
    ok = ram_peers:call(Run, 2, stop, []),
    ?assertEqual(noproc, ram_peers:raised(Run, 2, ram, put, [k, v])),
    ?assertEqual(not_applied, Outcome(noproc)).

%% Behind the one whose turn it is.
wait_until_in_line(Run, Others) ->
    ram_peers:eventually(fun() ->
                                 {state, _SlowMs, Waiting, Count} =
                                     ram_peers:call(Run, 1, sys, get_state, [ram_update]),
                                 {is_map_key({<<>>, k}, Waiting), Count} =:= {true, Others}
                         end).

in_the_background(Run, I, Function, Arguments) ->
    Raised = fun() -> exit({outcome, ram_peers:raised(Run, I, ram, Function, Arguments)}) end,
    spawn_monitor(Raised).

outcome({Pid, Monitor}) ->
    receive {'DOWN', Monitor, process, Pid, {outcome, Outcome}} -> Outcome
    after 20000 -> error(no_outcome)
    end.
