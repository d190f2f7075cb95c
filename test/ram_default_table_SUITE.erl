%% The type of the default table: what the first node was set to when the cluster was made.
-module(ram_default_table_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([it_is_ordered_on_all_nodes_from_the_first_moment_and_after_restarts/1,
         the_first_node_decides_and_one_with_another_setting_says_so/1,
         a_restore_keeps_the_type_of_the_cluster_and_says_so/1,
         a_type_that_there_is_not_is_refused_by_name/1]).

-define(TOLD, "default_table_type is").
-define(OF_BACKUP, "the default table of the backup is").

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(a_type_that_there_is_not_is_refused_by_name, Config) ->
    Config;
init_per_testcase(a_restore_keeps_the_type_of_the_cluster_and_says_so, Config) ->
    ram_case:start(Config, 1);
init_per_testcase(_Case, Config) ->
    ram_case:start(Config, 3, [{default_table_type, ordered_set}, {snapshot_every, 20}]).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

types(Run, Nodes) ->
    [maps:get(type, call(Run, I, info, [default])) || I <- Nodes].

set_to(Run, I, Type) ->
    %% What is set before the application is loaded would be lost.
    _ = ram_peers:call(Run, I, application, load, [ram]),
    ok = ram_peers:call(Run, I, application, set_env, [ram, default_table_type, Type]).

%% Snapshots are taken all the time, so the last start is from one.
it_is_ordered_on_all_nodes_from_the_first_moment_and_after_restarts(Config) ->
    Run = run(Config),
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    Ordered = [ordered_set, ordered_set, ordered_set],
    ?assertEqual(Ordered, types(Run, [1, 2, 3])),
    ?assertEqual(error, call(Run, 2, first, [])),
    restart(Run),
    ?assertEqual(Ordered, types(Run, [1, 2, 3])),
    [ok = call(Run, 1 + N rem 3, put, [{n, N}, N]) || N <- lists:seq(1, 200)],
    restart(Run),
    ?assertEqual(Ordered, types(Run, [1, 2, 3])),
    [?assertEqual([{{n, 7}, 7}, {{n, 8}, 8}], call(Run, I, range, [{n, 7}, {n, 8}]))
     || I <- [1, 2, 3]].

restart(Run) ->
    [ram_peers:kill(Run, I) || I <- [1, 2, 3]],
    [ram_peers:restart(Run, I) || I <- [1, 2, 3]],
    ok = call(Run, 1, start_cluster, [ram_peers:nodes(Run)]).

the_first_node_decides_and_one_with_another_setting_says_so(Config) ->
    Run = run(Config),
    [set_to(Run, I, set) || I <- [2, 3]],
    [ram_log:keep(Run, I) || I <- [1, 2, 3]],
    ok = call(Run, 2, start_cluster, [lists:reverse(ram_peers:nodes(Run, [1, 2]))]),
    ?assertEqual([ordered_set, ordered_set], types(Run, [1, 2])),
    [ok = call(Run, 1, put, [N, N]) || N <- lists:seq(1, 100)],
    ok = call(Run, 1, add_node, [ram_peers:node(Run, 3)]),
    ?assertEqual([ordered_set, ordered_set, ordered_set], types(Run, [1, 2, 3])),
    ?assertEqual({ok, {1, 1}}, call(Run, 3, first, [])),
    [begin
         ram_peers:eventually(fun() -> ram_log:lines(Run, I, ?TOLD) =/= [] end),
         [Line] = ram_log:lines(Run, I, ?TOLD),
         [?assertNotEqual({Word, nomatch}, {Word, string:find(Line, Word)})
          || Word <- ["is set here", "ordered_set", "warning"]]
     end || I <- [2, 3]],
    ?assertEqual([], ram_log:lines(Run, 1, ?TOLD)).

%% Also how a table gets another type.
a_restore_keeps_the_type_of_the_cluster_and_says_so(Config) ->
    Run = run(Config),
    Node = ram_peers:node(Run, 1),
    Entries = [{N, N} || N <- lists:seq(1, 100)],
    ram_log:keep(Run, 1),
    [begin
         File = filename:join(ram_peers:folder(Run), atom_to_list(From)),
         found(Run, Node, From),
         ok = call(Run, 1, put_many, [Entries]),
         ok = call(Run, 1, backup, [File]),
         found(Run, Node, To),
         Told = length(ram_log:lines(Run, 1, ?OF_BACKUP)),
         ok = call(Run, 1, restore, [File]),
         ?assertEqual([To], types(Run, [1])),
         ?assertEqual(Entries, lists:sort(call(Run, 1, to_list, []))),
         ?assertEqual(Told + 1, length(ram_log:lines(Run, 1, ?OF_BACKUP)))
     end || {From, To} <- [{set, ordered_set}, {ordered_set, set}]],
    ?assertEqual(badarg, raised(Run, 1, first, [])).

%% A cluster of one without entries.
found(Run, Node, Type) ->
    ok = call(Run, 1, stop_cluster, [[Node]]),
    ok = call(Run, 1, stop, []),
    set_to(Run, 1, Type),
    ok = call(Run, 1, start_cluster, [[Node]]),
    ?assertEqual([Type], types(Run, [1])).

a_type_that_there_is_not_is_refused_by_name(_Config) ->
    [?assertEqual({error, {bad_config, default_table_type, <<"must be set or ordered_set">>}},
                  ram_config:check([{default_table_type, Type}]))
     || Type <- [bag, "set", <<"ordered_set">>, nil, undefined, {set, 1}]],
    [{ok, #{default_table_type := Type}} = ram_config:check([{default_table_type, Type}])
     || Type <- [set, ordered_set]],
    {ok, #{default_table_type := nil}} = ram_config:check([]).
