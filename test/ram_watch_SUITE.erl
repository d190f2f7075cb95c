%% Watches: what their receivers are sent, in which order, and what there is no room for.
-module(ram_watch_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, call/5, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_watch_is_told_of_each_change_of_its_keys_in_order/1,
         one_write_is_one_message_with_each_key_once/1,
         what_was_there_comes_first_and_with_what_changes_it_is_the_table/1,
         a_watch_from_a_revision_is_told_all_since_on_another_node_too/1,
         a_watch_tells_what_a_key_held_before/1,
         a_range_that_is_deleted_and_a_table_that_is_dropped_are_one_message/1,
         a_slow_receiver_has_no_more_than_its_credit_in_its_mailbox/1,
         a_receiver_that_is_too_slow_is_told_that_it_lost_and_holds_up_nobody/1,
         a_watch_that_was_ended_sends_nothing_and_leaves_nothing/1,
         a_receiver_that_died_leaves_nothing/1,
         the_status_tells_how_many_watches_there_are_and_what_they_take/1,
         another_process_may_be_the_receiver/1,
         values_of_every_kind_arrive/1,
         a_watch_that_makes_no_sense_is_refused/1]).
%% On the nodes.
-export([write/3, ended/1, given_up/0]).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE, [ended]).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

%% Each of these on the node that leads, and on one that does not.
each(Config, Test) ->
    Run = run(Config),
    [Test(Run, I, name()) || I <- ram_calls:nodes(Run)].

name() ->
    list_to_atom("l" ++ integer_to_list(erlang:unique_integer([positive]))).

watch(Run, I, Name, What, Options) ->
    {ok, Watch, Rev} = call(Run, I, ram_listener, watch, [Name, What, Options]),
    {Watch, Rev}.

%% All that was sent when so many changes have come.
got(Run, I, Name, Count) ->
    ram_peers:eventually(fun() -> length(events(Run, I, Name)) >= Count end),
    events(Run, I, Name).

events(Run, I, Name) ->
    [Message || {_, Events} = Message <- call(Run, I, ram_listener, got, [Name]), is_list(Events)].

put_rev(Run, I, Key, Value, Options) ->
    {ok, Rev} = call(Run, I, put, [Key, Value, Options#{return => rev}]),
    Rev.

a_watch_is_told_of_each_change_of_its_keys_in_order(Config) ->
    each(Config, fun(Run, I, Name) ->
        [_, Prefixed, Ranged, All] = Names = [Name | [name() || _ <- [1, 2, 3]]],
        Ordered = #{table => ordered},
        Key = {Name, 1},
        {_, Begun} = watch(Run, I, Name, {key, Key}, Ordered),
        _ = watch(Run, I, Prefixed, {prefix, {tuple, 2, [Name]}}, Ordered),
        _ = watch(Run, I, Ranged, {range, {Name, 2}, {Name, 3}}, Ordered),
        _ = watch(Run, I, All, all, Ordered),
        Revs = [put_rev(Run, rem_node(N), {Name, N rem 4}, N, Ordered) || N <- lists:seq(0, 11)],
        ok = call(Run, 2, delete, [Key, Ordered]),
        Sent = [{Rev, [{put, {Name, N rem 4}, N}]}
                || {Rev, N} <- lists:zip(Revs, lists:seq(0, 11))],
        Deleted = {lists:last(Revs) + 1, [{delete, Key, deleted}]},
        Of = fun(Ns) -> [M || {_, [{put, {_, N}, _}]} = M <- Sent, lists:member(N, Ns)] end,
        ?assert(Begun < hd(Revs)),
        ?assertEqual(Of([1]) ++ [Deleted], got(Run, I, Name, 4)),
        ?assertEqual(Of([2, 3]), got(Run, I, Ranged, 6)),
        ?assertEqual(Sent ++ [Deleted], got(Run, I, Prefixed, 13)),
        ?assertEqual(Sent ++ [Deleted], got(Run, I, All, 13)),
        [ok = call(Run, I, ram_listener, stop, [Each]) || Each <- Names]
    end).

rem_node(N) -> N rem 3 + 1.

one_write_is_one_message_with_each_key_once(Config) ->
    each(Config, fun(Run, I, Name) ->
        _ = watch(Run, I, Name, all, #{table => things}),
        Options = #{table => things},
        ok = call(Run, 3, put_many, [[{a, 1}, {b, 1}, {a, 2}], Options]),
        {true, _, Rev} = call(Run, 3, txn, [[], [{put, c, 1}, {delete, b}, {put, c, 2}, {get, a}],
                                            [], Options]),
        {true, _, _} = call(Run, 3, txn, [[], [{put, d, 1}, {delete, d}], [], Options]),
        ok = call(Run, 3, delete_many, [[a, c, none], Options]),
        [{_, First}, {Second, Changes}, {_, Last}] = got(Run, I, Name, 3),
        ?assertEqual([{put, a, 2}, {put, b, 1}], lists:sort(First)),
        ?assertEqual({Rev, [{delete, b, deleted}, {put, c, 2}]}, {Second, lists:sort(Changes)}),
        ?assertEqual([{delete, a, deleted}, {delete, c, deleted}], lists:sort(Last)),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

%% While others write, too.
what_was_there_comes_first_and_with_what_changes_it_is_the_table(Config) ->
    each(Config, fun(Run, I, Name) ->
        [begin
             Options = #{table => Table},
             ok = call(Run, 1, put_many, [[{{Name, N}, there} || N <- lists:seq(1, 3000)],
                                          Options]),
             Self = self(),
             Writer = spawn_link(fun() ->
                 Self ! {self(), call(Run, 3, ?MODULE, write, [Table, Name, 1000])}
             end),
             {_, Begun} = watch(Run, I, Name, all, Options#{initial => true, events_max => 100}),
             receive {Writer, ok} -> ok end,
             ok = call(Run, 1, put, [{Name, last}, last, Options]),
             IsLast = fun() -> {_, E} = lists:last(call(Run, I, ram_listener, got, [Name])),
                               E =:= [{put, {Name, last}, last}] end,
             ok = ram_peers:eventually(IsLast),
             check_replay(call(Run, I, ram_listener, got, [Name]), Begun,
                          call(Run, I, to_list, [Options])),
             ok = call(Run, I, ram_listener, stop, [Name])
         end || Table <- [things, ordered]]
    end).

check_replay(Got, Begun, Content) ->
    {Initial, [{Done, initial_done} | Changes]} =
        lists:splitwith(fun({_, What}) -> What =/= initial_done end, Got),
    ?assertEqual([Begun], lists:usort([Done | [Rev || {Rev, _} <- Initial]])),
    Keys = [Key || {_, Events} <- Initial, {put, Key, _} <- Events],
    ?assertEqual(length(Keys), length(lists:usort(Keys))),
    Revs = [Rev || {Rev, _} <- Changes],
    ?assertEqual(lists:usort(Revs), Revs),
    ?assert(hd(Revs) > Begun),
    Replayed = lists:foldl(fun({_, Events}, Map) -> lists:foldl(fun apply_event/2, Map, Events) end,
                           #{}, Initial ++ Changes),
    ?assertEqual(maps:from_list(Content), Replayed).

apply_event({put, Key, Value}, Map) -> Map#{Key => Value};
apply_event({delete, Key, deleted}, Map) -> maps:remove(Key, Map).

write(Table, Name, Count) ->
    Options = #{table => Table},
    lists:foreach(fun(N) when N rem 3 =:= 0 -> ok = ram:delete({Name, N}, Options);
                     (N) -> ok = ram:put({Name, N}, changed, Options)
                  end, lists:seq(1, Count)).

a_watch_from_a_revision_is_told_all_since_on_another_node_too(Config) ->
    each(Config, fun(Run, I, Name) ->
        Revs = [put_rev(Run, 1, {Name, N}, N, #{}) || N <- lists:seq(1, 200)],
        From = lists:nth(50, Revs),
        {_, Begun} = watch(Run, I, Name, all, #{from => From, events_max => 7}),
        More = [put_rev(Run, 1, {Name, N}, N, #{}) || N <- lists:seq(201, 210)],
        Expected = lists:nthtail(49, Revs ++ More),
        Got = got(Run, I, Name, length(Expected)),
        ?assertEqual({From - 1, Expected}, {Begun, [Rev || {Rev, _} <- Got]}),
        Future = name(),
        Now = lists:last(More),
        {_, _} = watch(Run, I, Future, all, #{from => Now + 3}),
        [Third | _] = lists:reverse([put_rev(Run, 1, {Name, N}, N, #{}) || N <- [1, 2, 3]]),
        ?assertMatch([{Third, _}], got(Run, I, Future, 1)),
        [ok = call(Run, I, ram_listener, stop, [Each]) || Each <- [Name, Future]]
    end).

a_watch_tells_what_a_key_held_before(Config) ->
    each(Config, fun(Run, I, Name) ->
        ok = call(Run, 1, put, [Name, 0]),
        _ = watch(Run, I, Name, {key, Name}, #{old => true, initial => true}),
        ok = call(Run, 1, put, [Name, 1]),
        ok = call(Run, 1, delete, [Name]),
        ok = call(Run, 1, put, [Name, 2]),
        Got = [Events || {_, Events} <- got(Run, I, Name, 4)],
        ?assertEqual([[{put, Name, 0, error}], [{put, Name, 1, {ok, 0}}],
                      [{delete, Name, deleted}], [{put, Name, 2, error}]], Got),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

a_range_that_is_deleted_and_a_table_that_is_dropped_are_one_message(Config) ->
    each(Config, fun(Run, I, Name) ->
        Options = #{table => Name},
        ok = call(Run, I, create_table, [Name, #{type => ordered_set}]),
        ok = call(Run, I, put_many, [[{N, N} || N <- lists:seq(1, 2000)], Options]),
        _ = watch(Run, I, Name, all, Options),
        1500 = call(Run, 3, delete_range, [1, 1500, Options]),
        ok = call(Run, 3, drop_table, [Name]),
        [{First, Deleted}, {Second, Dropped}] = got(Run, I, Name, 2),
        ?assertEqual([{delete, N, deleted} || N <- lists:seq(1, 1500)], lists:sort(Deleted)),
        ?assertEqual([{delete, N, dropped} || N <- lists:seq(1501, 2000)], lists:sort(Dropped)),
        ?assert(Second > First),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

a_slow_receiver_has_no_more_than_its_credit_in_its_mailbox(Config) ->
    each(Config, fun(Run, I, Name) ->
        {Watch, _} = watch(Run, I, Name, all, #{events_max => 10, mode => keeps}),
        ok = call(Run, I, ram_listener, hold, [Name]),
        Revs = [put_rev(Run, 1, {Name, N}, N, #{}) || N <- lists:seq(1, 100)],
        ?assertEqual(10, call(Run, I, ram_listener, queue, [Name])),
        ok = call(Run, I, ram_listener, release, [Name]),
        ?assertEqual(10, length(got(Run, I, Name, 10))),
        ?assertMatch({_, Waiting, _} when Waiting > 0, call(Run, I, ram_listener, sizes, [])),
        [begin
             ok = call(Run, I, ram_listener, ack, [Watch, lists:nth(N, Revs)]),
             ?assertEqual(N + 10, length(got(Run, I, Name, N + 10)))
         end || N <- lists:seq(10, 90, 10)],
        ?assertEqual(Revs, [Rev || {Rev, _} <- got(Run, I, Name, 100)]),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

a_receiver_that_is_too_slow_is_told_that_it_lost_and_holds_up_nobody(Config) ->
    each(Config, fun(Run, I, Name) ->
        Other = name(),
        _ = watch(Run, I, Name, all, #{events_max => 1, bytes_max => 5000, mode => keeps}),
        _ = watch(Run, I, Other, all, #{}),
        Revs = [put_rev(Run, 1, {Name, N}, N, #{}) || N <- lists:seq(1, 200)],
        [First | _] = Revs,
        ?assertEqual(Revs, [Rev || {Rev, _} <- got(Run, I, Other, 200)]),
        ?assertEqual([{First, [{put, {Name, 1}, 1}]}, {First, lost}],
                     call(Run, I, ram_listener, got, [Name])),
        ?assertMatch({1, 0, _}, call(Run, I, ram_listener, sizes, [])),
        [ok = call(Run, I, ram_listener, stop, [Each]) || Each <- [Name, Other]]
    end).

a_watch_that_was_ended_sends_nothing_and_leaves_nothing(Config) ->
    each(Config, fun(Run, I, Name) ->
        {Watch, _} = watch(Run, I, Name, all, #{events_max => 1, mode => keeps}),
        _ = [put_rev(Run, 1, Name, N, #{}) || N <- [1, 2]],
        ok = call(Run, I, ram_listener, unwatch, [{Name, Watch}]),
        ?assertEqual({0, 0}, two(call(Run, I, ram_listener, sizes, []))),
        Got = call(Run, I, ram_listener, got, [Name]),
        _ = put_rev(Run, 1, Name, 3, #{}),
        ok = call(Run, I, ram_listener, ack, [Watch, 1 bsl 50]),
        ok = call(Run, I, put, [Name, 4]),
        ?assertEqual(Got, call(Run, I, ram_listener, got, [Name])),
        ok = call(Run, I, ram_listener, unwatch, [{Name, Watch}]),
        ok = call(Run, I, unwatch, [make_ref()]),
        ok = call(Run, I, ?MODULE, ended, [Name]),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

two({Count, Waiting, _History}) -> {Count, Waiting}.

%% What had been sent is dropped with the watch.
ended(Key) ->
    [begin
         {ok, Watch, _} = ram:watch({key, Key}, #{}),
         ok = ram:put(Key, N),
         ok = ram:unwatch(Watch),
         receive {ram_event, Watch, _, _} -> error(sent) after 0 -> ok end
     end || N <- lists:seq(1, 200)],
    ok.

the_status_tells_how_many_watches_there_are_and_what_they_take(Config) ->
    each(Config, fun(Run, I, Name) ->
        Status = fun() -> maps:get(watches, call(Run, I, status, [])) end,
        ok = ram_peers:eventually(fun() -> maps:get(count, Status()) =:= 0 end),
        {Watch, _} = watch(Run, I, Name, all, #{events_max => 1, mode => keeps}),
        _ = [put_rev(Run, 1, {Name, N}, <<0:8000>>, #{}) || N <- [1, 2, 3]],
        Waits = fun() -> #{queued_bytes := Bytes} = Status(), Bytes >= 2000 end,
        ok = ram_peers:eventually(Waits),
        ?assertMatch(#{count := 1, history_bytes := Bytes} when Bytes >= 3000, Status()),
        ok = call(Run, I, ram_listener, unwatch, [{Name, Watch}]),
        ?assertMatch(#{count := 0, queued_bytes := 0}, Status()),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

a_receiver_that_died_leaves_nothing(Config) ->
    each(Config, fun(Run, I, Name) ->
        Names = [name() || _ <- lists:seq(1, 50)],
        [watch(Run, I, Each, {key, Name}, #{}) || Each <- Names],
        ?assertMatch({50, _, _}, call(Run, I, ram_listener, sizes, [])),
        [ok = call(Run, I, ram_listener, stop, [Each]) || Each <- Names],
        %% Without a write: the member is told of their deaths.
        None = fun() -> two(call(Run, I, ram_listener, sizes, [])) =:= {0, 0} end,
        ok = ram_peers:eventually(None),
        ok = call(Run, I, put, [Name, 1])
    end).

another_process_may_be_the_receiver(Config) ->
    each(Config, fun(Run, I, Name) ->
        Pid = call(Run, I, ram_listener, process, []),
        {ok, Watch, _} = call(Run, I, watch, [{key, Name}, #{to => Pid}]),
        {ok, Rev} = call(Run, 1, put, [Name, 1, #{return => rev}]),
        Sent = {messages, [{ram_event, Watch, Rev, [{put, Name, 1}]}]},
        %% References of another node print alike and are others.
        Has = fun() -> call(Run, I, erlang, process_info, [Pid, messages]) =:= Sent end,
        ok = ram_peers:eventually(Has),
        true = call(Run, I, erlang, exit, [Pid, kill]),
        None = fun() -> two(call(Run, I, ram_listener, sizes, [])) =:= {0, 0} end,
        ok = ram_peers:eventually(None),
        {ok, _, _} = call(Run, I, watch, [{key, Name}, #{to => Pid}]),
        ok = ram_peers:eventually(None)
    end).

values_of_every_kind_arrive(Config) ->
    Values = [1, 1.5, 1 bsl 300, atom, "text", <<"bytes">>, <<1:3>>, {a, [b, #{c => d}]},
              make_ref(), self(), fun lists:map/2, binary:copy(<<"x">>, 1 bsl 20),
              lists:seq(1, 10000),
              maps:from_list([{N, N} || N <- lists:seq(1, 100)])],
    each(Config, fun(Run, I, Name) ->
        _ = watch(Run, I, Name, {key, Name}, #{old => true}),
        [ok = call(Run, 1, put, [Name, Value]) || Value <- Values],
        Got = got(Run, I, Name, length(Values)),
        ?assertEqual(Values, [Value || {_, [{put, _, Value, _}]} <- Got]),
        Olds = [Old || {_, [{put, _, _, {ok, Old}}]} <- Got],
        ?assertEqual(lists:droplast(Values), Olds),
        ok = call(Run, I, ram_listener, stop, [Name])
    end).

a_watch_that_makes_no_sense_is_refused(Config) ->
    Ordered = #{table => ordered},
    Wrong = [[{key, a}, #{no_option => 1}], [{key, a}, #{from => 0}], [{key, a}, #{from => x}],
             [{key, a}, #{initial => yes}], [{key, a}, #{old => 1}], [{key, a}, #{to => me}],
             [{key, a}, #{events_max => 0}], [{key, a}, #{bytes_max => -1}], [{key, a}, []],
             [{key, a}, #{from => 1, initial => true}], [nothing, #{}], [{keys, a}, #{}],
             [{key, fun() -> ok end}, #{}], [{prefix, {a}}, Ordered], [{prefix, a}, Ordered],
             [{range, 2, 1}, Ordered], [{range, '$last', '$first'}, Ordered],
             [{range, '$first', '$first'}, Ordered], [{range, 1, 2}, #{table => things}],
             [{prefix, "a"}, #{table => things}], [{key, a}, #{to => self()}]],
    each(Config, fun(Run, I, _Name) ->
        [?assertEqual({Arguments, badarg}, {Arguments, raised(Run, I, watch, Arguments)})
         || Arguments <- Wrong],
        ?assertEqual({no_table, nowhere}, raised(Run, I, watch, [all, #{table => nowhere}])),
        [?assertEqual(badarg, raised(Run, I, Call, Arguments))
         || {Call, Arguments} <- [{unwatch, [x]}, {watch_ack, [x, 1]}, {watch_ack, [make_ref(), x]},
                                  {watch_ack, [make_ref(), -1]}]],
        ok = call(Run, I, watch_ack, [make_ref(), 1]),
        ok = call(Run, I, ?MODULE, given_up, []),
        ?assertEqual({0, 0}, two(call(Run, I, ram_listener, sizes, [])))
    end).

%% Whose time was over has no watch, whenever it would have begun.
given_up() ->
    [try ram:watch(all, #{timeout => 0}) of
         {ok, Watch, _} -> ok = ram:unwatch(Watch)
     catch
         error:{timeout, _} -> ok
     end || _ <- lists:seq(1, 100)],
    ok = ram:put(given_up, 1),
    receive {ram_event, _, _, _} = Event -> error(Event) after 0 -> ok end.
