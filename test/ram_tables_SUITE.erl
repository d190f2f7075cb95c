%% Tables beside the default one: made, dropped, and missing.
-module(ram_tables_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([tables_hold_their_own_keys/1,
         tables_are_made_and_dropped_on_all_nodes/1,
         a_table_beyond_the_limit_is_refused/1,
         a_table_that_is_not_there_is_named/1,
         a_key_of_any_table_is_read_in_the_call_or_later/1]).

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

%% What is not answered in the call is large, looks like the answer for that, or is no key.
a_key_of_any_table_is_read_in_the_call_or_later(Config) ->
    Run = run(Config),
    Long = lists:seq(1, 5000),
    [begin
         In = #{table => Table},
         ok = call(Run, I, put, [Key, Value, In]),
         [?assertEqual({Table, Value, {ok, Value}},
                       {Table, call(Run, J, get, [Key, none, In]), call(Run, J, fetch, [Key, In])})
          || J <- [1, 2, 3]],
         ok = call(Run, I, delete, [Key, In]),
         [?assertEqual({Table, Default}, {Table, call(Run, J, get, [Key, Default, In])})
          || J <- [1, 2, 3], Default <- [none, 'ram fetch']]
     end || I <- ram_calls:nodes(Run), Table <- [default, things, ordered],
            {Key, Value} <- [{k, 1}, {Long, 2}, {k, 'ram fetch'}, {k, undefined},
                             {k, binary:copy(<<"v">>, 100000)},
                             {k, maps:from_keys(lists:seq(1, 100), 1)}]],
    Counted = fun() -> maps:get(local, maps:get(reads, call(Run, 1, status, []))) end,
    ok = call(Run, 1, put, [counted, 1, #{table => ordered}]),
    Before = Counted(),
    [1 = call(Run, 1, get, [counted, none, #{table => ordered}]) || _ <- lists:seq(1, 100)],
    ?assertEqual(Before + 100, Counted()),
    [?assertEqual(badarg, raised(Run, 1, get, [fun() -> k end, none, #{table => Table}]))
     || Table <- [things, ordered]],
    ?assertEqual(badarg, raised(Run, 1, get, [k, none, #{table => "things"}])),
    ok = call(Run, 1, create_table, [gone, #{}]),
    ok = call(Run, 1, put, [k, v, #{table => gone}]),
    ok = call(Run, 2, drop_table, [gone]),
    [?assertEqual({no_table, gone}, raised(Run, J, get, [k, none, #{table => gone}]))
     || J <- [1, 2, 3]].
