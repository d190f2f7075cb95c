%% The public API against a map (ram_model_prop), on three nodes. A failure prints the seed;
%% RAM_SEED=<integer> runs the same cases again.
-module(ram_model_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([one_process_sees_a_map_whatever_node_it_asks/1,
         processes_at_once_see_one_map_whatever_nodes_they_ask/1]).

-define(SEQUENTIAL_TESTS, 200).
-define(PARALLEL_TESTS, 150).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    [one_process_sees_a_map_whatever_node_it_asks,
     processes_at_once_see_one_map_whatever_nodes_they_ask].

init_per_suite(Config) ->
    Run = ram_peers:start(3, proplists:get_value(priv_dir, Config), [], direct),
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    ok = ram_model_prop:use(Run),
    [{run, Run} | Config].

end_per_suite(Config) ->
    ram_peers:stop(proplists:get_value(run, Config)).

one_process_sees_a_map_whatever_node_it_asks(_Config) ->
    ram_property:check(ram_model_prop:sequential(), ?SEQUENTIAL_TESTS).

processes_at_once_see_one_map_whatever_nodes_they_ask(_Config) ->
    ram_property:check(ram_model_prop:parallel(), ?PARALLEL_TESTS).
