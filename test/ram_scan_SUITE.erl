%% Scans and ranges: what they hold, in which order, at one revision, page by page.
-module(ram_scan_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, call/5, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_range_has_what_is_between_its_ends_in_erlangs_order/1,
         a_prefix_has_the_keys_that_begin_so/1,
         neighbours_are_found_whether_the_key_is_there_or_not/1,
         a_scan_is_of_one_revision_while_writes_go_on/1,
         pages_go_on_at_their_revision_and_again/1,
         a_page_beyond_what_one_call_reads_is_whole/1,
         a_match_specification_selects_as_it_does_in_ets/1,
         values_that_are_decoded_by_the_caller_are_in_scans_too/1,
         what_makes_no_sense_is_refused/1]).
%% On the nodes.
-export([paged/2, sums/2, move/2, selected/2, again/1, continued_otherwise/0]).

-define(ORDERED, #{table => ordered}).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE, [again]).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

%% A table of the case alone, which is dropped at its end.
with_table(Run, Type, Entries, Test) ->
    Table = list_to_atom("t" ++ integer_to_list(erlang:unique_integer([positive]))),
    ok = call(Run, 1, create_table, [Table, #{type => Type}]),
    ok = call(Run, 1, put_many, [Entries, #{table => Table}]),
    Test(Table),
    ok = call(Run, 1, drop_table, [Table]).

terms() ->
    [-1, 0, 1, 1.0, 1.5, 2, 1 bsl 80, -(1 bsl 80), a, b, 'ünïcode', {}, {1}, {1, b}, {1.0, a},
     {2, a}, #{}, #{a => 1}, [], "abc", "abd", [1, [2]], <<>>, <<"x">>, <<"xy">>, <<1:3>>,
     fun lists:map/2].

a_range_has_what_is_between_its_ends_in_erlangs_order(Config) ->
    Run = run(Config),
    Entries = [{Key, {value, Key}} || Key <- terms()],
    with_table(Run, ordered_set, Entries, fun(Table) ->
        Options = #{table => Table},
        [begin
             Sorted = call(Run, I, range, ['$first', '$last', Options]),
             ?assertEqual(lists:sort(Entries), lists:sort(Sorted)),
             Keys = [Key || {Key, _} <- Sorted],
             ?assertEqual(Keys, lists:sort(fun is_before/2, terms())),
             ?assertEqual(Sorted, call(Run, I, to_list, [Options])),
             ?assertEqual(Keys, call(Run, I, keys, [Options])),
             ?assertEqual(lists:reverse(Keys),
                          call(Run, I, range, ['$first', '$last', Options#{reverse => true,
                                                                           keys_only => true}])),
             [?assertEqual([Key || Key <- Keys, is_before(From, Key), is_before(Key, To)],
                           call(Run, I, range, [From, To, Options#{keys_only => true}]))
              || From <- Keys, To <- Keys, erlang:phash2({From, To}) rem 10 =:= 0],
             ?assertEqual([hd(Sorted)], call(Run, I, range, ['$first', '$first', Options])),
             ?assertEqual([lists:last(Sorted)], call(Run, I, range, ['$last', '$last', Options])),
             ?assertEqual([], call(Run, I, range, ['$last', '$first', Options])),
             ?assertEqual([], call(Run, I, range, [{key, '$first'}, {key, '$first'}, Options]))
         end || I <- ram_calls:nodes(Run)]
    end).

%% Erlang's order, where 1 and 1.0 differ at any depth.
is_before(One, Other) ->
    ram_nif:key_encode(One) =< ram_nif:key_encode(Other).

a_prefix_has_the_keys_that_begin_so(Config) ->
    Run = run(Config),
    Keys = ["", "a", "ab", "abc", "b", [1, 2], [1, 2, 3], <<>>, <<"a">>, <<"ab">>, <<"b">>,
            <<0>>, <<0, 1>>, {a}, {a, 1}, {a, 2}, {b, 1}, {a, 1, x}, 1, a],
    with_table(Run, ordered_set, [{Key, v} || Key <- Keys], fun(Table) ->
        Options = #{table => Table, keys_only => true},
        [?assertEqual({Prefix, lists:sort(Found)},
                      {Prefix, lists:sort(call(Run, 2, prefix, [Prefix, Options]))})
         || {Prefix, Found} <-
                [{"", [Key || Key <- Keys, is_list(Key)]}, {"ab", ["ab", "abc"]}, {"c", []},
                 {[1, 2], [[1, 2], [1, 2, 3]]},
                 {<<>>, [Key || Key <- Keys, is_binary(Key)]}, {<<"a">>, [<<"a">>, <<"ab">>]},
                 {<<0>>, [<<0>>, <<0, 1>>]}, {{tuple, 2, [a]}, [{a, 1}, {a, 2}]},
                 {{tuple, 2, []}, [{a, 1}, {a, 2}, {b, 1}]}, {{tuple, 3, [a, 1, x]}, [{a, 1, x}]},
                 {{tuple, 0, []}, []}]],
        ?assertMatch({[{a, 1}], _}, call(Run, 2, prefix, [{tuple, 2, [a]}, Options#{limit => 1}]))
    end).

neighbours_are_found_whether_the_key_is_there_or_not(Config) ->
    Run = run(Config),
    with_table(Run, ordered_set, [{10, a}, {20, b}, {30, c}], fun(Table) ->
        Options = #{table => Table},
        [begin
             Ask = fun(Function, Arguments) -> call(Run, I, Function, Arguments ++ [Options]) end,
             ?assertEqual({ok, {10, a}}, Ask(first, [])),
             ?assertEqual({ok, {30, c}}, Ask(last, [])),
             ?assertEqual([{ok, {10, a}}, {ok, {20, b}}, {ok, {20, b}}, error],
                          [Ask(next, [Key]) || Key <- [5, 10, 15, 30]]),
             ?assertEqual([error, {ok, {10, a}}, {ok, {20, b}}, {ok, {30, c}}],
                          [Ask(prev, [Key]) || Key <- [10, 20, 25, 31]])
         end || I <- ram_calls:nodes(Run)]
    end),
    with_table(Run, ordered_set, [{gone, 1}], fun(Table) ->
        ok = call(Run, 1, delete, [gone, #{table => Table}]),
        [?assertEqual(error, call(Run, 3, End, [#{table => Table}])) || End <- [first, last]]
    end).

%% Each write moves something from a key to another, so the sum of all is the same at any revision.
a_scan_is_of_one_revision_while_writes_go_on(Config) ->
    Run = run(Config),
    Count = ram_case:amount(3000, 100000),
    Entries = [{Key, 100} || Key <- lists:seq(1, Count)],
    [with_table(Run, Type, Entries, fun(Table) ->
         Movers = [spawn_link(fun() -> call(Run, I, ?MODULE, move, [Table, Count]) end)
                   || I <- [1, 2, 3]],
         [begin
              Sums = call(Run, I, ?MODULE, sums, [Table, Type]),
              ?assertEqual({I, [100 * Count]}, {I, lists:usort(Sums)})
          end || _ <- lists:seq(1, ram_case:amount(3, 20)), I <- [1, 2, 3]],
         [begin unlink(Mover), exit(Mover, kill) end || Mover <- Movers],
         [call(Run, I, application, set_env, [ram, test_moves, false]) || I <- [1, 2, 3]]
     end) || Type <- [set, ordered_set]].

%% Until it is told to end.
move(Table, Count) ->
    application:set_env(ram, test_moves, true),
    move_on(Table, Count).

move_on(Table, Count) ->
    {From, To} = {rand:uniform(Count), rand:uniform(Count)},
    Options = #{table => Table},
    {ok, _} = ram:transaction(fun(Tx) ->
        ram_tx:put(Tx, From, ram_tx:get(Tx, From, 0, Options) - 1, Options),
        ram_tx:put(Tx, To, ram_tx:get(Tx, To, 0, Options) + 1, Options)
    end, #{retries => 1000}),
    case application:get_env(ram, test_moves) of
        {ok, true} -> move_on(Table, Count);
        {ok, false} -> ok
    end.

sums(Table, Type) ->
    Options = #{table => Table},
    Folded = ram:fold(fun({_, Value}, Sum) -> Sum + Value end, 0, Options),
    Listed = lists:sum([Value || {_, Value} <- ram:to_list(Options)]),
    Selected = lists:sum(ram:select([{{'_', '$1'}, [], ['$1']}], Options)),
    Paged = lists:sum([Value || {_, Value} <- paged(Options#{limit => 700}, to_list)]),
    Ranged = case Type of
                 set -> Folded;
                 ordered_set ->
                     lists:sum([Value || {_, Value} <- ram:range('$first', '$last', Options)])
             end,
    [Folded, Listed, Selected, Paged, Ranged].

paged(Options, Function) ->
    case ram:Function(Options) of
        {Items, done} -> Items;
        {Items, Continuation} -> Items ++ paged(Options#{continuation => Continuation}, Function)
    end.

pages_go_on_at_their_revision_and_again(Config) ->
    Run = run(Config),
    Entries = [{Key, Key} || Key <- lists:seq(1, 2500)],
    [with_table(Run, Type, Entries, fun(Table) ->
         [?assertEqual(lists:sort(Entries), call(Run, I, ?MODULE, again, [Table]))
          || I <- ram_calls:nodes(Run)]
     end) || Type <- [set, ordered_set]].

%% A page is read, all is changed, and the rest is read twice: it is what it was.
again(Table) ->
    Options = #{table => Table, limit => 600},
    {First, Continuation} = ram:to_list(Options),
    600 = length(First),
    ok = ram:put_many([{Key, changed} || Key <- lists:seq(1, 2500)], #{table => Table}),
    ok = ram:delete_many(lists:seq(500, 1500), #{table => Table}),
    Rest = paged(Options#{continuation => Continuation}, to_list),
    Rest = paged(Options#{continuation => Continuation}, to_list),
    ok = ram:put_many([{Key, Key} || Key <- lists:seq(1, 2500)], #{table => Table}),
    lists:sort(First ++ Rest).

a_page_beyond_what_one_call_reads_is_whole(Config) ->
    Run = run(Config),
    Entries = [{Key, Key} || Key <- lists:seq(1, 4000)],
    with_table(Run, ordered_set, Entries, fun(Table) ->
        Options = #{table => Table, limit => 2500},
        {Page, Continuation} = call(Run, 1, range, [1, 4000, Options]),
        ?assertEqual(lists:sublist(Entries, 2500), Page),
        ?assertEqual({lists:nthtail(2500, Entries), done},
                     call(Run, 1, range, [1, 4000, Options#{continuation => Continuation}])),
        ?assertEqual(Entries, call(Run, 1, range, [1, 4000, #{table => Table}]))
    end).

a_match_specification_selects_as_it_does_in_ets(Config) ->
    Run = run(Config),
    Entries = [{{kind, I rem 3, I}, #{n => I, l => lists:seq(1, I rem 4)}} || I <- lists:seq(1, 60)]
        ++ [{I, I * 1.5} || I <- lists:seq(1, 40)] ++ [{atom, [x | y]}, {"list", <<"bin">>}],
    [with_table(Run, Type, Entries, fun(Table) ->
         [?assertEqual({Spec, selected(Entries, Spec)},
                       {Spec, lists:sort(call(Run, 2, select, [Spec, #{table => Table}]))})
          || Spec <- specs()]
     end) || Type <- [set, ordered_set]].

specs() ->
    [[{{{kind, 1, '_'}, '_'}, [], [{element, 1, '$_'}]}],
     [{{'$1', '$2'}, [{is_float, '$2'}], [{{'$2', '$1'}}]}],
     [{{'$1', '$2'}, [{is_map, '$2'}, {'>', {map_get, n, '$2'}, 50}], ['$$']}],
     [{{'$1', '_'}, [{'orelse', {is_atom, '$1'}, {is_list, '$1'}}], ['$1']}],
     [{{{kind, '$1', '$2'}, #{n => '$2'}}, [{'=:=', {'rem', '$2', 7}, '$1'}], [{const, {a}}]}],
     [{{'_', '_'}, [{'<', {'+', 1, a}, 2}], [never]}, {{'$1', '_'}, [{is_integer, '$1'}], [int]}],
     [{'$1', [], ['$1']}],
     [{{"list", '$1'}, [{'==', {bit_size, '$1'}, 24}], ['$1']}]].

selected(Entries, Spec) ->
    Table = ets:new(entries, []),
    ets:insert(Table, Entries),
    lists:sort(ets:select(Table, Spec)).

values_that_are_decoded_by_the_caller_are_in_scans_too(Config) ->
    Run = run(Config),
    Large = lists:seq(1, 200000),
    Entries = [{Key, {Key, Large}} || Key <- [a, b]] ++ [{small, 1}],
    [with_table(Run, Type, Entries, fun(Table) ->
         ?assertEqual(lists:sort(Entries), lists:sort(call(Run, 2, to_list, [#{table => Table}])))
     end) || Type <- [set, ordered_set]].

what_makes_no_sense_is_refused(Config) ->
    Run = run(Config),
    [?assertEqual({Function, Arguments, badarg},
                  {Function, Arguments, raised(Run, 1, Function, Arguments)})
     || {Function, Arguments} <-
            [{range, [1, 2]}, {range, [1, 2, #{table => things}]}, {first, []}, {prev, [1]},
             {prefix, [<<"a">>, #{table => things}]}, {prefix, [<<1:3>>, ?ORDERED]},
             {prefix, [{tuple, 1, [a, b]}, ?ORDERED]}, {prefix, [[a | b], ?ORDERED]},
             {prefix, [atom, ?ORDERED]}, {select, [not_a_spec]}, {select, [[{'$1', [], []}], 7]},
             {to_list, [#{limit => 0}]}, {to_list, [#{limit => -1}]}, {to_list, [#{limit => x}]},
             {to_list, [#{reverse => 1}]}, {to_list, [#{continuation => done}]},
             {to_list, [#{table => "name"}]}, {to_list, [#{at_least => 0}]},
             {fold, [not_a_fun, 0]}, {foreach, [fun lists:map/2]}, {keys, [[]]},
             {range, ['$last', 1]}, {range, [1, '$first', #{table => things, limit => 1}]},
             {range, [1, 2, #{limit => 1}]}, {prefix, [<<"a">>, #{table => things, limit => 1}]},
             {get_many, [not_a_list]}, {get_many, [[a | b]]}, {info, ["name"]},
             {range, [1, 2, #{table => ordered, unknown => 1}]}]],
    ?assertEqual(ok, ram_peers:call(Run, 1, ?MODULE, continued_otherwise, [])),
    [?assertEqual({no_table, none}, raised(Run, 2, Function, Arguments))
     || {Function, Arguments} <- [{to_list, [#{table => none}]}, {first, [#{table => none}]},
                                  {get_many, [[a], #{table => none}]}, {size, [#{table => none}]},
                                  {range, ['$last', a, #{table => none}]}]],
    ?assertEqual({timeout, {ram, ram_peers:node(Run, 1)}},
                 raised(Run, 1, lookup, [a, #{at_least => 1 bsl 50, timeout => 50}])).

%% The continuation of a call is of no other: on the node, since it lives as long as its holder.
continued_otherwise() ->
    ok = ram:put_many([{Key, 1} || Key <- [a, b, c]], ?ORDERED),
    {[_], Continuation} = ram:to_list(#{table => ordered, limit => 1}),
    Further = #{limit => 1, continuation => Continuation},
    {[_], _} = ram:to_list(maps:merge(?ORDERED, Further)),
    [begin
         {badarg, Why} = ram_load:explained(ram, Function, [maps:merge(Options, Further)]),
         {Function, Options, #{1 := <<"the option continuation is of another", _/binary>>}} =
             {Function, Options, Why}
     end || {Function, Options} <- [{keys, ?ORDERED},
                                    {to_list, #{table => ordered, reverse => true}},
                                    {to_list, #{table => things}}, {to_list, #{}}]],
    ok.
