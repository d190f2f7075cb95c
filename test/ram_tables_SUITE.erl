%% Tables beside the default one: made, dropped, and missing.
-module(ram_tables_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([tables_hold_their_own_keys/1,
         tables_are_made_and_dropped_on_all_nodes/1,
         a_table_beyond_the_limit_is_refused/1,
         a_table_that_is_not_there_is_named/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

tables_hold_their_own_keys(Config) ->
    Run = run(Config),
    Tables = [default, things, ordered],
    Leader = hd(ram_calls:nodes(Run)),
    [ok = call(Run, Leader, put, [shared, Table, #{table => Table}]) || Table <- Tables],
    [[?assertEqual({conflict, Table}, value(call(Run, I, put, [shared, x, #{table => Table,
                                                                         expect => absent}])))
      || Table <- Tables] || I <- [1, 2, 3]],
    [?assertEqual({ok, Table}, call(Run, 2, take, [shared, #{table => Table}]))
     || Table <- Tables].

value({conflict, {ok, Value, _Meta}}) -> {conflict, Value}.

tables_are_made_and_dropped_on_all_nodes(Config) ->
    Run = run(Config),
    [begin
         ok = call(Run, I, create_table, [Name, #{type => Type}]),
         [begin
              ?assertEqual({error, exists}, call(Run, J, create_table, [Name, #{}])),
              ?assertEqual({error, exists}, call(Run, J, create_table, [Name, #{type => Type}])),
              ok = call(Run, J, put, [k, v, #{table => Name}])
          end || J <- [1, 2, 3]],
         ok = call(Run, I, drop_table, [Name]),
         [begin
              ?assertEqual({error, no_table}, call(Run, J, drop_table, [Name])),
              ?assertEqual({no_table, Name}, raised(Run, J, put, [k, v, #{table => Name}]))
          end || J <- [1, 2, 3]],
         ok = call(Run, I, create_table, [Name, #{}]),
         ?assertEqual(error, call(Run, I, take, [k, #{table => Name}])),
         ok = call(Run, I, drop_table, [Name])
     end || I <- ram_calls:nodes(Run),
            {Name, Type} <- [{t1, set}, {t2, ordered_set}, {'ünïcode', set}]],
    ?assertEqual({error, exists}, call(Run, 1, create_table, [default, #{}])),
    ?assertEqual(badarg, raised(Run, 1, drop_table, [default])).

a_table_beyond_the_limit_is_refused(Config) ->
    Run = run(Config),
    Made = [list_to_atom("many" ++ integer_to_list(N)) || N <- lists:seq(1, 1024 - 3)],
    [ok = call(Run, 1, create_table, [Name, #{}]) || Name <- Made],
    ?assertEqual({too_many_tables, 1024}, raised(Run, 2, create_table, [one_more, #{}])),
    ?assertEqual(not_applied, call(Run, 2, outcome, [{too_many_tables, 1024}])),
    [ok = call(Run, 3, drop_table, [Name]) || Name <- Made].

a_table_that_is_not_there_is_named(Config) ->
    Run = run(Config),
    Id = fun(X) -> X end,
    Options = #{table => nowhere},
    [?assertEqual({I, Function, {no_table, nowhere}},
                  {I, Function, raised(Run, I, Function, Arguments ++ [Options])})
     || I <- ram_calls:nodes(Run),
        {Function, Arguments} <-
            [{put, [k, v]}, {put_new, [k, v]}, {cas, [k, absent, v]}, {delete, [k]}, {take, [k]},
             {update, [k, 1, Id]}, {get_and_update, [k, fun(_) -> {keep, x} end]},
             {update_counter, [k, 1, 0]}, {put_many, [[{k, v}]]}, {put_many, [[]]},
             {delete_many, [[k]]}, {delete_range, [a, b]}, {txn, [[], [{get, k}], []]},
             {txn, [[], [], []]}]],
    ?assertEqual({no_table, nowhere},
                 raised(Run, 1, txn, [[{in, nowhere, {k, absent}}], [], []])),
    ?assertEqual(not_applied, call(Run, 1, outcome, [{no_table, nowhere}])).
