%% Where scans and the ranges of transactions end: what they hold back, how much they read, keys
%% that this OTP cannot read, and those that take long to encode.
-module(ram_scan_limits_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_scan_that_holds_too_much_back_expires/1,
         a_key_of_a_newer_otp_is_told_by_its_bytes/1,
         a_transaction_that_reads_too_large_ranges_changes_nothing/1,
         keys_and_ends_that_take_long_do_not_hold_a_scheduler/1]).
%% On the node.
-export([outlived/0, values/0, counted/1, use_long_key/1]).

%% SCAN_BYTES_MAX of ram_core and RANGE_ENTRIES_MAX of ram_limits.
-define(HELD_BYTES_MAX, (256 bsl 20)).
-define(RANGE_ENTRIES_MAX, 65536).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [counted, use_long_key]).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 1, [{storage, memory}, {call_timeout_ms, 60000}]).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

on(Config, Function, Arguments) ->
    ram_peers:call(run(Config), 1, ?MODULE, Function, Arguments, 120000).

a_scan_that_holds_too_much_back_expires(Config) ->
    Revision = on(Config, outlived, []),
    ?assertEqual(not_applied, call(run(Config), 1, outcome, [{expired, Revision}])),
    %% Another one sees what there is now.
    ?assertMatch([new | _], on(Config, values, [])).

%% Begins a scan, and goes on with it after each change; the revision that has expired.
outlived() ->
    Large = 15 bsl 20,
    Options = #{table => ordered},
    ok = ram:create_table(ordered, #{type => ordered_set}),
    Keys = lists:seq(1, ?HELD_BYTES_MAX div Large + 2),
    [ok = ram:put(Key, binary:copy(<<Key>>, Large), Options) || Key <- Keys],
    {[_], Continuation} = ram:keys(Options#{limit => 1}),
    GoesOn = fun(Key) ->
                     ok = ram:put(Key, new, Options),
                     try ram:keys(Options#{limit => 1, continuation => Continuation}) of
                         {[_], _Next} -> true
                     catch
                         error:{expired, Revision} ->
                             self() ! {expired, Revision},
                             false
                     end
             end,
    {Held, [_TooMuch | _]} = lists:splitwith(GoesOn, Keys),
    ?assertEqual(?HELD_BYTES_MAX div Large, length(Held)),
    receive {expired, Revision} -> Revision end.

values() ->
    lists:sort([Value || {_Key, Value} <- ram:to_list(#{table => ordered}), is_atom(Value)]).

%% Such a key comes from a node with a newer OTP, or from its backup. Here is what the library makes
%% of it, beside a key that can be read.
a_key_of_a_newer_otp_is_told_by_its_bytes(Config) ->
    Bytes = <<16#E0, 1, 16#D8>>,
    Call = {to_list, []},
    ?assertEqual([{k, v}], ram_scan:decoded([{k, v}], Call)),
    ?assertError({unreadable_key, Bytes},
                 ram_scan:decoded([{k, v}, {'ram unreadable', Bytes}], Call)),
    ?assertEqual(not_applied, call(run(Config), 1, outcome, [{unreadable_key, Bytes}])).

a_transaction_that_reads_too_large_ranges_changes_nothing(Config) ->
    Run = run(Config),
    ok = call(Run, 1, create_table, [numbers, #{type => ordered_set}]),
    Fill = fun(From, To) ->
                   Numbers = [{N, n} || N <- lists:seq(From, To)],
                   ok = call(Run, 1, put_many, [Numbers, #{table => numbers}])
           end,
    Fill(1, ?RANGE_ENTRIES_MAX),
    ?assertEqual({ok, ?RANGE_ENTRIES_MAX}, on(Config, counted, [first])),
    Fill(?RANGE_ENTRIES_MAX + 1, ?RANGE_ENTRIES_MAX + 1),
    Reason = {ranges_too_large, ?RANGE_ENTRIES_MAX},
    ?assertEqual(Reason, ram_peers:raised(Run, 1, ?MODULE, counted, [second])),
    ?assertEqual({?RANGE_ENTRIES_MAX, undefined},
                 {call(Run, 1, get, [first]), call(Run, 1, get, [second])}),
    ?assertEqual(not_applied, call(Run, 1, outcome, [Reason])).

%% @doc Counts the numbers in a transaction, and puts there how many they are.
counted(Key) ->
    ram:transaction(fun(Tx) ->
                            Numbers = ram_tx:range(Tx, '$first', '$last', #{table => numbers}),
                            ok = ram_tx:put(Tx, Key, length(Numbers)),
                            length(Numbers)
                    end).

%% They are encoded elsewhere, and what is found is the same.
keys_and_ends_that_take_long_do_not_hold_a_scheduler(Config) ->
    ok = call(run(Config), 1, create_table, [ordered, #{type => ordered_set}]),
    [begin
         Us = on(Config, use_long_key, [Name]),
         ct:pal("~p: the longest call takes ~b us", [Name, Us]),
         ?assert(Us < 3000)
     end || Name <- ram_terms:long_keys()].

%% @doc Many keys, and ranges, with a long one. Returns what the longest call of the library takes.
use_long_key(Name) ->
    Key = ram_terms:long_key(Name),
    Options = #{table => ordered},
    ok = ram:put_many([{Key, 1}, {{Key, a}, 2}, {[Key, b], 3}], Options),
    [?assertEqual({Function, Of, Found}, {Function, Of, apply(ram, Function, Of ++ [Reads])})
     || Reads <- [Options#{reads => Way} || Way <- [lease, quorum, local]],
        {Function, Of, Found} <- [{range, [Key, Key], [{Key, 1}]},
                                  {range, [{Key, a}, {Key, {}}], [{{Key, a}, 2}]},
                                  {range, [{Key, b}, {Key, {}}], []},
                                  {prefix, [[Key]], [{[Key, b], 3}]},
                                  {prefix, [{tuple, 2, [Key, a]}], [{{Key, a}, 2}]},
                                  {next, [{Key, 0}], {ok, {{Key, a}, 2}}},
                                  {prev, [{Key, {}}], {ok, {{Key, a}, 2}}}]],
    ?assertMatch({[{Key, 1}], _}, ram:range(Key, '$last', Options#{limit => 1})),
    ?assertEqual(#{Key => 1, {Key, a} => 2},
                 ram:get_many([Key, none, {Key, a}], Options)),
    %% Twice is too long for one call.
    Half = lists:duplicate(3000, []),
    Us = longest_us([[none, Key], [Half, Half],
                     {{including, Key}, unbounded}, {unbounded, {excluding, Key}},
                     {prefix, [Key]}, {prefix, {tuple, 2, [Key]}},
                     {{including, Half}, {including, Half}}, {prefix, {tuple, 2, [Half, Half]}}]),
    ?assertEqual(3, ram:delete_range('$first', '$last', Options)),
    Us.

%% Of ranges, and of lists of keys; the shortest of ten calls for each.
longest_us(All) ->
    lists:max([begin
                   {Us, Answers} = lists:unzip([called_us(Of) || _ <- lists:seq(1, 10)]),
                   ?assertEqual([{error, {bad_key, long}}], lists:usort(Answers)),
                   lists:min(Us)
               end || Of <- All]).

called_us(Of) ->
    {Member, _TimeoutMs, _Reads} = ram_request:member(),
    {Table, Fresh} = {<<"ordered">>, {local, 0}},
    case Of of
        Keys when is_list(Keys) ->
            timer:tc(ram_nif, get_many_now, [Member, Table, Keys, Fresh]);
        Range ->
            timer:tc(ram_nif, range_now, [Member, Table, Range, {false, false, 1}, Fresh])
    end.
