%% Writes of one key or several, with their options, on a node that leads and on one that does not.
-module(ram_write_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2]).
-export([put_answers_as_return_says/1,
         put_changes_only_what_is_as_expected/1,
         a_conflict_tells_what_the_key_holds/1,
         of_all_who_put_a_new_key_one_does/1,
         cas_takes_turns_by_revision/1,
         delete_answers_as_return_and_expect_say/1,
         a_value_is_taken_once/1,
         update_answers_as_return_says/1,
         update_gives_up_after_its_retries/1,
         get_and_update_does_what_its_fun_says/1,
         get_and_update_runs_again_on_what_was_put_meanwhile/1,
         a_fun_that_raises_changes_nothing/1,
         a_counter_counts_as_ets_does/1,
         a_counter_loses_no_count_of_many/1,
         what_is_no_integer_is_not_counted/1,
         many_keys_have_one_revision/1,
         ranges_are_deleted_at_once/1]).
-export([tables_hold_their_own_keys/1,
         tables_are_made_and_dropped_on_all_nodes/1,
         a_table_beyond_the_limit_is_refused/1,
         a_table_that_is_not_there_is_named/1,
         wrong_arguments_and_options_are_named/1,
         large_values_are_answered_whole/1,
         keys_that_take_long_are_no_different/1,
         a_call_waits_as_long_as_it_is_told/1,
         a_result_of_a_newer_otp_tells_that_the_write_is_done/1,
         no_write_is_done_twice_when_the_leader_is_lost/1]).
-export([race/3, count_up/2, interfere/2, lost/1, put_large/2, take_large/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [lost, take_large]).

init_per_suite(Config) ->
    Started = ram_case:start_cluster(Config, 3),
    [ok = call(run(Started), 1, create_table, Table)
     || Table <- [[things, #{type => set}], [ordered, #{type => ordered_set}]]],
    Started.

end_per_suite(Config) ->
    ram_case:stop(Config).

%% Where each call is made: on which node, and on which table.
init_per_testcase(_Case, Config) ->
    Leader = ram_peers:leader(run(Config), 1),
    Follower = hd([1, 2, 3] -- [Leader]),
    [{nodes, [Leader, Follower]} | Config].

%% @doc Runs a test for each node and table; keys of its own, and options with the table.
each(Config, Test) ->
    Run = run(Config),
    [begin
         Call = fun(Function, Arguments) -> call(Run, I, Function, Arguments) end,
         Key = {make_ref(), I, Table},
         Options = case Table of default -> #{}; _ -> #{table => Table} end,
         Test(Call, Key, Options)
     end || I <- proplists:get_value(nodes, Config), Table <- [default, things, ordered]].

%%% One key

put_answers_as_return_says(Config) ->
    each(Config, fun(Call, Key, Options) ->
        Put = fun(Value, More) -> Call(put, [Key, Value, maps:merge(Options, More)]) end,
        ?assertEqual(error, Put(1, #{return => old})),
        ?assertEqual({ok, 1}, Put(2, #{return => old})),
        {ok, First} = Put(3, #{return => rev}),
        ?assertEqual(ok, Put(4, #{return => ok})),
        ?assertEqual(ok, Put(5, #{})),
        {ok, Second} = Put(6, #{return => rev}),
        ?assert(Second >= First + 3),
        ?assertEqual({ok, 6}, Put(undefined, #{return => old})),
        ?assertEqual({ok, undefined}, Put(7, #{return => old}))
    end).

put_changes_only_what_is_as_expected(Config) ->
    each(Config, fun(Call, Key, Options) ->
        With = fun(More) -> maps:merge(Options, More) end,
        Prepared = fun(absent) -> Call(delete, [Key, Options]), 1;
                      ({value, Value}) ->
                           {ok, Revision} = Call(put, [Key, Value, With(#{return => rev})]),
                           Revision
                   end,
        [begin
             Revision = Prepared(State),
             Expected = case Expect of mine -> {rev, Revision}; older -> {rev, Revision - 1};
                            _ -> Expect end,
             Answer = Call(put, [Key, new, With(#{expect => Expected})]),
             Now = Call(take, [Key, Options]),
             case Holds of
                 true -> ?assertEqual({State, Expect, ok, {ok, new}}, {State, Expect, Answer, Now});
                 false ->
                     ?assertMatch({State, Expect, {conflict, _}}, {State, Expect, Answer}),
                     ?assertEqual({State, Now}, {State, case State of absent -> error;
                                                            {value, V} -> {ok, V} end})
             end
         end || {State, Expect, Holds} <- expectations()]
    end).

expectations() ->
    Map = maps:from_list([{K, K} || K <- lists:seq(1, 50)]),
    [{absent, absent, true}, {absent, present, false}, {absent, {value, undefined}, false},
     {absent, {rev, 1}, false}, {absent, mine, false},
     {{value, 1}, absent, false}, {{value, 1}, present, true}, {{value, 1}, mine, true},
     {{value, 1}, older, false}, {{value, 1}, {value, 1}, true}, {{value, 1}, {value, 1.0}, false},
     {{value, 1}, {value, 2}, false}, {{value, Map}, {value, Map}, true},
     {{value, #{a => 1, b => [c]}}, {value, #{b => [c], a => 1}}, true},
     {{value, "text"}, {value, [116, 101, 120, 116]}, true},
     {{value, Map}, {value, Map#{1 => 1.0}}, false}].

a_conflict_tells_what_the_key_holds(Config) ->
    each(Config, fun(Call, Key, Options) ->
        With = fun(More) -> maps:merge(Options, More) end,
        Conflict = fun(Expect) -> Call(put, [Key, other, With(#{expect => Expect})]) end,
        ?assertEqual({conflict, error}, Conflict(present)),
        {ok, Created} = Call(put, [Key, a, With(#{return => rev})]),
        Meta = #{rev => Created, created_rev => Created, version => 1, ttl => infinity,
                 owner => none},
        ?assertEqual({conflict, {ok, a, Meta}}, Conflict(absent)),
        {ok, Changed} = Call(put, [Key, b, With(#{return => rev})]),
        ?assertEqual({conflict, {ok, b, Meta#{rev => Changed, version => 2}}},
                     Conflict({rev, Created})),
        ok = Call(delete, [Key, Options]),
        {ok, Again} = Call(put, [Key, c, With(#{return => rev, expect => absent})]),
        ?assertEqual({conflict, {ok, c, Meta#{rev => Again, created_rev => Again}}},
                     Conflict({value, b}))
    end).

of_all_who_put_a_new_key_one_does(Config) ->
    Run = run(Config),
    [begin
         Key = {new, N, make_ref()},
         Answers = lists:append(ram_peers_race(Run, put_new, [Key, me])),
         ?assertEqual(1, length([true || true <- Answers])),
         ?assertEqual(lists:duplicate(30, true), [is_boolean(Answer) || Answer <- Answers])
     end || N <- lists:seq(1, 20)].

%% The answers of ten callers on each of the nodes.
ram_peers_race(Run, Function, Arguments) ->
    Self = self(),
    Askers = [spawn_link(fun() ->
                                 Told = ram_peers:call(Run, I, ?MODULE, race,
                                                       [10, Function, Arguments]),
                                 Self ! {self(), Told}
                         end) || I <- [1, 2, 3]],
    [receive {Asker, Told} -> Told end || Asker <- Askers].

%% @doc What so many callers at once are answered.
race(Callers, Function, Arguments) ->
    Started = [spawn_monitor(fun() -> exit({told, apply(ram, Function, Arguments)}) end)
               || _ <- lists:seq(1, Callers)],
    [receive {'DOWN', Monitor, process, _, {told, Told}} -> Told end || {_, Monitor} <- Started].

cas_takes_turns_by_revision(Config) ->
    each(Config, fun(Call, Key, Options) ->
        Cas = fun(Expect, Value) -> Call(cas, [Key, Expect, Value, Options]) end,
        {ok, One} = Cas(absent, 1),
        ?assertMatch({conflict, {ok, 1, #{rev := One}}}, Cas(absent, 2)),
        {ok, Two} = Cas({rev, One}, 2),
        ?assertMatch({conflict, {ok, 2, #{rev := Two, created_rev := One}}}, Cas({rev, One}, 3)),
        {ok, Three} = Cas({value, 2}, 3),
        ?assert(One < Two andalso Two < Three),
        ?assertMatch({ok, _}, Cas(present, 4))
    end),
    Run = run(Config),
    Key = make_ref(),
    Told = lists:append(ram_peers_race(Run, cas, [Key, absent, mine])),
    ?assertEqual({1, 29}, {length([x || {ok, _} <- Told]), length([x || {conflict, _} <- Told])}).

delete_answers_as_return_and_expect_say(Config) ->
    each(Config, fun(Call, Key, Options) ->
        Delete = fun(More) -> Call(delete, [Key, maps:merge(Options, More)]) end,
        Put = fun(Value) -> Call(put, [Key, Value, Options#{return => rev}]) end,
        ?assertEqual([ok, error, error],
                     [Delete(#{return => Return}) || Return <- [ok, rev, old]]),
        {ok, Put1} = Put(1),
        ?assertMatch({ok, Deleted} when Deleted > Put1, Delete(#{return => rev})),
        {ok, _} = Put(2),
        ?assertEqual({ok, 2}, Delete(#{return => old})),
        {ok, Put3} = Put(3),
        ?assertMatch({conflict, {ok, 3, #{rev := Put3}}}, Delete(#{expect => {value, 4}})),
        ?assertEqual({ok, 3}, Delete(#{expect => {rev, Put3}, return => old})),
        ?assertEqual({conflict, error}, Delete(#{expect => present})),
        ?assertEqual(error, Delete(#{expect => absent, return => rev})),
        ?assertEqual(ok, Delete(#{expect => absent}))
    end).

a_value_is_taken_once(Config) ->
    each(Config, fun(Call, Key, Options) ->
        ?assertEqual(error, Call(take, [Key, Options])),
        ok = Call(put, [Key, {a, value}, Options]),
        ?assertEqual({ok, {a, value}}, Call(take, [Key, Options])),
        ?assertEqual(error, Call(take, [Key, Options]))
    end),
    Run = run(Config),
    [begin
         ok = call(Run, 1, put, [{job, N}, N]),
         Taken = [Job || {ok, Job} <- lists:append(ram_peers_race(Run, take, [{job, N}]))],
         ?assertEqual([N], Taken)
     end || N <- lists:seq(1, 20)].

%%% Funs

update_answers_as_return_says(Config) ->
    Add = fun(N) -> N + 1 end,
    each(Config, fun(Call, Key, Options) ->
        Update = fun(More) -> Call(update, [Key, 1, Add, maps:merge(Options, More)]) end,
        ?assertEqual({ok, 1}, Update(#{return => new})),
        ?assertEqual(ok, Update(#{})),
        ?assertEqual(ok, Update(#{return => ok, retries => 0})),
        ?assertEqual({ok, 4}, Update(#{return => new, retries => infinity})),
        {ok, Revision} = Update(#{return => rev}),
        ?assertMatch({conflict, {ok, 5, #{rev := Revision, version := 5}}},
                     Call(put, [Key, x, Options#{expect => absent}]))
    end).

%% Another process changes the key whenever the fun runs.
update_gives_up_after_its_retries(Config) ->
    Run = run(Config),
    [[begin
          Key = {Function, Retries, make_ref()},
          ?assertEqual({{conflict, Key}, Retries + 1},
                       ram_peers:call(Run, I, ?MODULE, interfere, [Function, {Key, Retries}])),
          ?assertEqual(Retries + 1, call(Run, I, get, [Key])),
          ?assertEqual(not_applied, call(Run, I, outcome, [{conflict, Key}]))
      end || Function <- [update, get_and_update], Retries <- [0, 3]]
     || I <- proplists:get_value(nodes, Config)].

%% @doc What an update raises whose key is counted up in each run, and how many runs there were.
interfere(Function, {Key, Retries}) ->
    Runs = counters:new(1, []),
    ok = ram:put(Key, 0),
    Change = fun(_) ->
                     counters:add(Runs, 1, 1),
                     _ = ram:update_counter(Key, 1),
                     {put, never, never}
             end,
    Arguments = case Function of
                    update -> [Key, none, Change, #{retries => Retries}];
                    get_and_update -> [Key, Change, #{retries => Retries}]
                end,
    try apply(ram, Function, Arguments) of
        Returned -> {returned, Returned}
    catch
        error:Reason -> {Reason, counters:get(Runs, 1)}
    end.

get_and_update_does_what_its_fun_says(Config) ->
    each(Config, fun(Call, Key, Options) ->
        Do = fun(Fun) -> Call(get_and_update, [Key, Fun, Options]) end,
        ?assertEqual({saw, error}, Do(fun(Saw) -> {keep, {saw, Saw}} end)),
        ?assertEqual({saw, error}, Do(fun(Saw) -> {delete, {saw, Saw}} end)),
        ?assertEqual({saw, error}, Do(fun(Saw) -> {put, 1, {saw, Saw}} end)),
        ?assertEqual({saw, {ok, 1}}, Do(fun(Saw) -> {put, 2, {saw, Saw}} end)),
        ?assertEqual({saw, {ok, 2}}, Do(fun(Saw) -> {keep, {saw, Saw}} end)),
        ?assertEqual({saw, {ok, 2}}, Do(fun(Saw) -> {delete, {saw, Saw}} end)),
        ?assertEqual(error, Call(take, [Key, Options]))
    end).

get_and_update_runs_again_on_what_was_put_meanwhile(Config) ->
    Run = run(Config),
    Times = ram_case:amount(100, 1000),
    Key = make_ref(),
    ok = ram_load:wait_all(ram_load:spawn_all(Run, [1, 2, 3], 3, fun ?MODULE:count_up/2,
                                              [Key, Times])),
    ?assertEqual(9 * Times, call(Run, 1, get, [Key])).

%% @doc Counts up; nobody is told a number that another was told.
count_up(_Number, [Key, Times]) ->
    Next = fun({ok, N}) -> {put, N + 1, N + 1}; (error) -> {put, 1, 1} end,
    Told = [ram:get_and_update(Key, Next) || _ <- lists:seq(1, Times)],
    Told = lists:usort(Told),
    ok.

a_fun_that_raises_changes_nothing(Config) ->
    Run = run(Config),
    [begin
         ok = call(Run, I, put, [raising, 1]),
         [?assertEqual(mine, raised(Run, I, Function, Arguments))
          || {Function, Arguments} <- [{update, [raising, 0, fun(_) -> error(mine) end, #{}]},
                                       {get_and_update, [raising, fun(_) -> error(mine) end]}]],
         ?assertEqual(1, call(Run, I, get, [raising]))
     end || I <- proplists:get_value(nodes, Config)].

%%% Counters

a_counter_counts_as_ets_does(Config) ->
    Big = 1 bsl 80,
    Counts = [1, -1, 0, Big, -Big, {1, 10, 0}, {1, 0, 7}, {-1, 0, 9}, {-1, Big, 3}, {0, 5, 1},
              {Big, 1 bsl 63, -3}],
    Olds = [none, 0, 5, -7, 10, (1 bsl 63) - 1, -(1 bsl 63), Big],
    Table = ets:new(counters, []),
    each(Config, fun(Call, Key, Options) ->
        [begin
             Default = Old + 3,
             true = ets:delete_all_objects(Table),
             ets:insert(Table, {k, Old}),
             ok = Call(put, [Key, Old, Options]),
             Expected = ets:update_counter(Table, k, of_ets(Count)),
             Told = Call(update_counter, [Key, Count, Default, Options]),
             ?assertEqual({Old, Count, Expected}, {Old, Count, Told}),
             ?assertEqual({ok, Expected}, Call(take, [Key, Options])),
             FromDefault = ets:update_counter(Table, new, of_ets(Count), {new, Default}),
             ?assertEqual(FromDefault, Call(update_counter, [Key, Count, Default, Options])),
             ?assertEqual({ok, FromDefault}, Call(take, [Key, Options]))
         end || Old <- Olds, Old =/= none, Count <- Counts]
    end),
    ?assertEqual(5, call(run(Config), 1, update_counter, [make_ref(), 5])),
    ?assertEqual(7, call(run(Config), 2, update_counter, [make_ref(), 5, 2])).

of_ets({Increment, Threshold, SetTo}) -> {2, Increment, Threshold, SetTo};
of_ets(Increment) -> {2, Increment}.

a_counter_loses_no_count_of_many(Config) ->
    Run = run(Config),
    Key = make_ref(),
    Told = lists:append([lists:append(ram_peers_race(Run, update_counter, [Key, 1]))
                         || _ <- lists:seq(1, 20)]),
    ?assertEqual(lists:seq(1, 600), lists:sort(Told)).

what_is_no_integer_is_not_counted(Config) ->
    Run = run(Config),
    [begin
         Key = {counter, make_ref()},
         ok = call(Run, I, put, [Key, Value]),
         ?assertEqual({not_an_integer, Key}, raised(Run, I, update_counter, [Key, 1])),
         ?assertEqual({ok, Value}, call(Run, I, fetch, [Key])),
         ?assertEqual(not_applied, call(Run, I, outcome, [{not_an_integer, Key}]))
     end || Value <- [1.0, "1", one, {1}, undefined],
            I <- proplists:get_value(nodes, Config)].

%%% Several keys

many_keys_have_one_revision(Config) ->
    each(Config, fun(Call, Key, Options) ->
        Keys = [{Key, N} || N <- lists:seq(1, 10)],
        {ok, Revision} = Call(put_many, [[{K, v} || K <- Keys], Options#{return => rev}]),
        ?assertMatch({true, [], Revision},
                     Call(txn, [[{K, rev, '=', Revision} || K <- Keys], [], [], Options])),
        ?assertEqual({ok, Revision}, Call(put_many, [[], Options#{return => rev}])),
        ?assertEqual({ok, Revision}, Call(delete_many, [[other], Options#{return => rev}])),
        ?assertEqual(ok, Call(put_many, [[], Options])),
        ?assertEqual(ok, Call(delete_many, [[], Options])),
        {ok, Deleted} = Call(delete_many, [Keys, Options#{return => rev}]),
        ?assertEqual(Revision + 1, Deleted),
        ?assertMatch({true, [], Deleted},
                     Call(txn, [[{K, absent} || K <- Keys], [], [], Options]))
    end).

ranges_are_deleted_at_once(Config) ->
    Run = run(Config),
    [begin
         Options = #{table => ordered},
         Fill = fun() -> call(Run, I, put_many, [[{N, N} || N <- lists:seq(1, 100)], Options]) end,
         Delete = fun(From, To) -> call(Run, I, delete_range, [From, To, Options]) end,
         _ = Delete('$first', '$last'),
         ok = Fill(),
         ?assertEqual(0, Delete(5, 4)),
         ?assertEqual(0, Delete('$last', 7)),
         ?assertEqual(0, Delete(7, '$first')),
         ?assertEqual(3, Delete(5, 7)),
         ?assertEqual(0, Delete(5, 7)),
         ?assertEqual(1, Delete({key, 8}, {key, 8})),
         ?assertEqual(4, Delete('$first', 4)),
         ?assertEqual(91, Delete(8.5, 99)),
         ?assertEqual(1, Delete('$first', '$last')),
         ?assertEqual(badarg, raised(Run, I, delete_range, [1, 2])),
         ?assertEqual(badarg, raised(Run, I, delete_range, [1, 2, #{table => things}]))
     end || I <- proplists:get_value(nodes, Config)].

%%% Tables

tables_hold_their_own_keys(Config) ->
    Run = run(Config),
    Tables = [default, things, ordered],
    Leader = hd(proplists:get_value(nodes, Config)),
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
     end || I <- proplists:get_value(nodes, Config),
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
     || I <- proplists:get_value(nodes, Config),
        {Function, Arguments} <-
            [{put, [k, v]}, {put_new, [k, v]}, {cas, [k, absent, v]}, {delete, [k]}, {take, [k]},
             {update, [k, 1, Id]}, {get_and_update, [k, fun(_) -> {keep, x} end]},
             {update_counter, [k, 1, 0]}, {put_many, [[{k, v}]]}, {put_many, [[]]},
             {delete_many, [[k]]}, {delete_range, [a, b]}, {txn, [[], [{get, k}], []]},
             {txn, [[], [], []]}]],
    ?assertEqual({no_table, nowhere},
                 raised(Run, 1, txn, [[{in, nowhere, {k, absent}}], [], []])),
    ?assertEqual(not_applied, call(Run, 1, outcome, [{no_table, nowhere}])).

%%% Wrong calls

wrong_arguments_and_options_are_named(Config) ->
    Run = run(Config),
    Id = fun(X) -> X end,
    Local = fun() -> ok end,
    Wrong = [{put, [k, v, #{retrun => ok}], 3, "retrun is no option"},
             {put, [k, v, #{return => new}], 3, "ok or rev or old"},
             {put, [k, v, #{expect => {rev, 0}}], 3, "the option expect must be absent"},
             {put, [k, v, #{expect => gone}], 3, "gone"},
             {put, [k, v, #{table => "t"}], 3, "the option table must be the name of a table"},
             {put, [k, v, #{table => ''}], 3, "the name of a table"},
             {put, [k, v, #{timeout => -1}], 3, "the option timeout must be infinity, or"},
             {put, [k, v, #{timeout => 1 bsl 32}], 3, "4294967295"},
             {put, [k, v, [{return, rev}]], 3, "must be a map of options"},
             {put, [Local, v, #{}], 1, "local fun"},
             {put, [Local, v, #{return => old}], 1, "local fun"},
             {put_new, [k, v, #{return => rev}], 3, "return is no option"},
             {put_new, [Local, v], 1, "local fun"},
             {cas, [k, {rev, x}, v], 2, "must be absent, present, {rev, Rev} or"},
             {cas, [k, absent, v, #{expect => absent}], 4, "expect is no option"},
             {delete, [k, #{return => new}], 2, "ok or rev or old"},
             {take, [k, #{expect => absent}], 2, "expect is no option"},
             {take, [Local], 1, "local fun"},
             {update, [k, 1, Id, #{return => old}], 4, "ok or new or rev"},
             {update, [k, 1, Id, #{retries => -1}], 4, "the option retries must be infinity"},
             {update, [k, 1, Local, #{}], 3, "must be a fun of one argument"},
             {get_and_update, [k, Local], 2, "must be a fun of one argument"},
             {get_and_update, [k, Id], 2, "must return {put, New, Reply}"},
             {get_and_update, [k, Id, #{return => new}], 3, "return is no option"},
             {update_counter, [k, 1.0], 2, "must be an integer, or {Increment"},
             {update_counter, [k, {1, 2}], 2, "must be an integer, or {Increment"},
             {update_counter, [k, 1, none], 3, "must be an integer, and is none"},
             {update_counter, [k, 1, 0, #{a => b}], 4, "a is no option"},
             {put_many, [[{k, v}], #{return => old}], 2, "ok or rev"},
             {put_many, [[k], #{}], 1, "element 1"},
             {delete_many, [k, #{}], 1, "must be a list of keys"},
             {delete_range, [Local, b, #{table => ordered}], 1, "local fun"},
             {delete_range, [a, {key, Local}, #{table => ordered}], 2, "local fun"},
             {delete_range, [a, b, #{}], general, "the table default is a set"},
             {delete_range, ['$first', '$first'], 2, "the other end of the table"},
             {delete_range, ['$last', '$last', #{}], 2, "the other end of the table"},
             {create_table, ["t", #{}], 1, "must be the name of a table, an atom"},
             {create_table, ['', #{}], 1, "must be the name of a table, an atom"},
             {create_table, [t, #{type => bag}], 2, "set or ordered_set"},
             {create_table, [t, #{table => t}], 2, "table is no option"},
             {drop_table, [default], 1, "always there"}, {drop_table, [7], 1, "an atom"}],
    [begin
         {Reason, Why} = ram_peers:call(Run, 1, ram_load, explained, [ram, Function, Arguments]),
         Text = maps:get(Position, Why, <<>>),
         ?assertEqual({Function, Arguments, badarg, Text, true},
                      {Function, Arguments, Reason, Text,
                       string:find(Text, Words) =/= nomatch})
     end || {Function, Arguments, Position, Words} <- Wrong],
    ?assertEqual(error, call(Run, 1, fetch, [k])).

%%% Sizes and times

large_values_are_answered_whole(Config) ->
    Run = run(Config),
    [begin
         Hash = ram_peers:call(Run, I, ?MODULE, put_large, [large, none]),
         Other = ram_peers:call(Run, I, ?MODULE, put_large, [large, {ok, Hash}]),
         ?assertEqual({ok, Other}, ram_peers:call(Run, I, ?MODULE, take_large, [large]))
     end || I <- proplists:get_value(nodes, Config)],
    ?assertMatch({value_too_large, _, _}, ram_peers:raised(Run, 1, ?MODULE, put_large,
                                                          [too_large, 17 bsl 20])).

%% @doc Puts random bytes; the old value has the hash, or there is none. Returns the new hash.
put_large(Key, Old) ->
    Bytes = case Old of
                Size when is_integer(Size) -> Size;
                _ -> 12 bsl 20
            end,
    Value = crypto:strong_rand_bytes(Bytes),
    Hashed = case ram:put(Key, Value, #{return => old}) of
                 {ok, Found} -> {ok, crypto:hash(sha256, Found)};
                 error -> none
             end,
    Old = Hashed,
    {conflict, {ok, Value, _}} = ram:put(Key, x, #{expect => {value, <<>>}}),
    crypto:hash(sha256, Value).

take_large(Key) ->
    {ok, Value} = ram:take(Key),
    {ok, crypto:hash(sha256, Value)}.

keys_that_take_long_are_no_different(Config) ->
    Long = lists:seq(1, 10000),
    each(Config, fun(Call, Name, Options) ->
        Key = {Name, Long},
        ?assertEqual(true, Call(put_new, [Key, 1, Options])),
        ?assertEqual(3, Call(update_counter, [Key, 2, 0, Options])),
        ?assertEqual({ok, 4}, Call(update, [Key, 0, fun(N) -> N + 1 end, Options#{return => new}])),
        ?assertMatch({true, [{ok, 4}, ok], _},
                     Call(txn, [[{Key, '=:=', 4}, {Key, present}], [{take, Key}, {put, Key, 5}], [],
                                Options])),
        ?assertEqual({ok, 5}, Call(delete, [Key, Options#{return => old}]))
    end).

a_call_waits_as_long_as_it_is_told(Config) ->
    Run = run(Config),
    Links = ram_peers:links(Run),
    ok = call(Run, 1, put, [waiting, 1, #{timeout => infinity}]),
    [ram_links:hold(Links, A, B) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    [begin
         Begun = erlang:monotonic_time(millisecond),
         ?assertMatch({timeout, {ram, _}},
                      raised(Run, 1, Function, Arguments ++ [#{timeout => 300}])),
         ?assert(erlang:monotonic_time(millisecond) - Begun < 3000)
     end || {Function, Arguments} <- [{put, [waiting, 2]}, {take, [waiting]},
                                      {update_counter, [waiting, 1, 0]},
                                      {txn, [[], [{put, waiting, 2}], []]}]],
    Waits = spawn_monitor(fun() ->
                                  exit({told, call(Run, 2, put_new, [other, 1,
                                                                     #{timeout => infinity}])})
                          end),
    ram_links:heal(Links),
    {_, Monitor} = Waits,
    receive {'DOWN', Monitor, process, _, Told} -> ?assertEqual({told, true}, Told) end.

a_result_of_a_newer_otp_tells_that_the_write_is_done(Config) ->
    Run = run(Config),
    Bytes = ram_records:bytes(geo, point, true, [{x, 1}]),
    Newer = fun() -> ok = ram_peers:call(Run, 1, ram_values_SUITE, put_bytes, [newer, Bytes]) end,
    case ram_records:available() of
        true ->
            {skip, "this OTP reads it"};
        false ->
            Newer(),
            ?assertEqual({unreadable_value, newer},
                         raised(Run, 1, put, [newer, x, #{expect => absent}])),
            ?assertEqual({unreadable_value, newer},
                         raised(Run, 1, txn, [[], [{get, newer}], []])),
            ?assertEqual({unreadable_result, newer}, raised(Run, 1, take, [newer])),
            ?assertEqual(error, call(Run, 1, fetch, [newer])),
            Newer(),
            ?assertEqual({unreadable_result, newer},
                         raised(Run, 1, put, [newer, x, #{return => old}])),
            ?assertEqual(x, call(Run, 1, get, [newer])),
            ?assertEqual(unknown, call(Run, 1, outcome, [{unreadable_result, newer}]))
    end.

%% A count that is done twice makes the sum too large.
no_write_is_done_twice_when_the_leader_is_lost(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    Others = [1, 2, 3] -- [Leader],
    Self = self(),
    Writers = [spawn_link(fun() -> Self ! {self(), ram_peers:call(Run, I, ?MODULE, lost, [Ms],
                                                                  60000)} end)
               || I <- Others, Ms <- [4000, 4000, 4000]],
    ram_peers:eventually(fun() -> call(Run, hd(Others), get, [lost], 0) > 100 end),
    ok = ram_peers:kill(Run, Leader),
    Told = [receive {Writer, Of} -> Of end || Writer <- Writers],
    _ = ram_peers:restart(Run, Leader),
    {Done, Unknown} = {lists:sum([D || {D, _} <- Told]), lists:sum([U || {_, U} <- Told])},
    Counted = call(Run, hd(Others), get, [lost]),
    ct:pal("~b are done, ~b unknown, ~b counted", [Done, Unknown, Counted]),
    ?assert(Counted >= Done andalso Counted =< Done + Unknown),
    ?assertEqual(0, Unknown).

call(Run, I, get, [Key], Default) ->
    call(Run, I, get, [Key, Default]).

%% @doc Counts for so long; how many are done, and of how many that is not known.
lost(Ms) ->
    lost(erlang:monotonic_time(millisecond) + Ms, 0, 0).

lost(Deadline, Done, Unknown) ->
    case erlang:monotonic_time(millisecond) > Deadline of
        true -> {Done, Unknown};
        false ->
            try ram:update_counter(lost, 1) of
                _Sum -> lost(Deadline, Done + 1, Unknown)
            catch
                error:{timeout, _} -> lost(Deadline, Done, Unknown + 1)
            end
    end.
