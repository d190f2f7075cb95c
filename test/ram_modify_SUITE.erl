%% Writes that depend on what a key holds: by the fun of an update, and by counting.
-module(ram_modify_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_calls, [each/2, race_on_all/3]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([update_answers_as_return_says/1,
         update_gives_up_after_its_retries/1,
         get_and_update_does_what_its_fun_says/1,
         get_and_update_runs_again_on_what_was_put_meanwhile/1,
         a_key_that_is_deleted_and_made_again_in_one_write_begins_anew/1,
         a_fun_that_raises_changes_nothing/1,
         a_counter_counts_as_ets_does/1,
         a_counter_loses_no_count_of_many/1,
         what_is_no_integer_is_not_counted/1]).
-export([count_up/2, interfere/2, renew/2]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

update_answers_as_return_says(Config) ->
    Add = fun(N) -> N + 1 end,
    each(run(Config), fun(Call, Key, Options) ->
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
     || I <- ram_calls:nodes(Run)].

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
    each(run(Config), fun(Call, Key, Options) ->
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

a_key_that_is_deleted_and_made_again_in_one_write_begins_anew(Config) ->
    [begin
         {Rev, Meta} = ram_peers:call(run(Config), I, ?MODULE, renew, [make_ref(), 1]),
         ?assertMatch(#{rev := Rev, created_rev := Rev, version := 1}, Meta)
     end || I <- ram_calls:nodes(run(Config))].

%% @doc Holds up others with an update, so that they are made together; their revision, and what is
%% told of the key then.
renew(Key, Value) ->
    ok = ram:put(Key, Value),
    Self = self(),
    Hold = fun(N) -> Self ! {holds, self()}, receive go_on -> N + 1 end end,
    First = spawn_monitor(fun() -> ok = ram:update(Key, none, Hold) end),
    Holder = receive {holds, Held} -> Held end,
    Waits = fun(N, Call) ->
                    Caller = spawn_monitor(Call),
                    ram_peers:eventually(fun() -> element(4, sys:get_state(ram_update)) =:= N end),
                    Caller
            end,
    Others = [Waits(1, fun() -> ok = ram:get_and_update(Key, fun({ok, 2}) -> {delete, ok} end) end),
              Waits(2, fun() ->
                               {ok, Rev} = ram:update(Key, 3, fun(_) -> no end, #{return => rev}),
                               Self ! {rev, Rev}
                       end)],
    Holder ! go_on,
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end
     || {Pid, Monitor} <- [First | Others]],
    Rev = receive {rev, Of} -> Of end,
    {ok, 3, Meta} = ram:lookup(Key),
    {Rev, Meta}.

a_fun_that_raises_changes_nothing(Config) ->
    Run = run(Config),
    [begin
         ok = call(Run, I, put, [raising, 1]),
         [?assertEqual(mine, raised(Run, I, Function, Arguments))
          || {Function, Arguments} <- [{update, [raising, 0, fun(_) -> error(mine) end, #{}]},
                                       {get_and_update, [raising, fun(_) -> error(mine) end]}]],
         ?assertEqual(1, call(Run, I, get, [raising]))
     end || I <- ram_calls:nodes(Run)].

a_counter_counts_as_ets_does(Config) ->
    Big = 1 bsl 80,
    Counts = [1, -1, 0, Big, -Big, {1, 10, 0}, {1, 0, 7}, {-1, 0, 9}, {-1, Big, 3}, {0, 5, 1},
              {Big, 1 bsl 63, -3}],
    Olds = [none, 0, 5, -7, 10, (1 bsl 63) - 1, -(1 bsl 63), Big],
    Table = ets:new(counters, []),
    each(run(Config), fun(Call, Key, Options) ->
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
    Told = lists:append([race_on_all(Run, update_counter, [Key, 1])
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
            I <- ram_calls:nodes(Run)].
