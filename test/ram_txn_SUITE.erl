%% Transactions that are given as data: all or nothing, seen by nobody half done, done once.
-module(ram_txn_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, raised/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([conditions_hold_as_they_say/1,
         operations_answer_one_by_one/1,
         later_operations_see_earlier_ones/1,
         conditions_see_what_was_there_before/1,
         other_tables_are_in_it_too/1,
         the_revision_is_that_of_the_write_or_the_present_one/1,
         a_key_is_written_once_whatever_is_done_with_it/1,
         what_one_operation_raises_undoes_all/1,
         nobody_sees_a_part_of_it/1,
         as_many_parts_as_promised_are_done_and_no_more/1,
         results_beyond_the_limit_are_refused/1,
         values_that_cost_too_much_to_compare_are_refused/1,
         what_is_sent_has_the_limit_of_a_batch/1,
         a_wrong_part_is_named/1,
         no_transfer_is_done_twice_or_half_when_the_leader_is_lost/1]).
-export([transfer/2, watch/2, transfers/1, many/1, put_large/1, same/2]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [transfers, many, put_large]).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

%% Runs a test on a node that leads and on one that does not, for each table.
each(Config, Test) ->
    Run = run(Config),
    [Test(fun(If, Then, Else) -> call(Run, I, txn, [If, Then, Else, #{table => Table}]) end,
          fun(Name) -> {Name, I, make_ref()} end)
     || I <- ram_calls:nodes(Run), Table <- [default, things, ordered]].

conditions_hold_as_they_say(Config) ->
    each(Config, fun(Txn, Key) ->
        {One, None} = {Key(one), Key(none)},
        {true, [ok], First} = Txn([], [{put, One, 1}], []),
        {true, [ok], Rev} = Txn([{One, present}], [{put, One, 1}], []),
        ?assertEqual(First + 1, Rev),
        [?assertMatch({Condition, {Holds, [], Rev}}, {Condition, Txn([Condition], [], [])})
         || {Condition, Holds} <-
                [{{One, present}, true}, {{One, absent}, false},
                 {{None, present}, false}, {{None, absent}, true},
                 {{One, '=:=', 1}, true}, {{One, '=:=', 1.0}, false}, {{None, '=:=', 1}, false},
                 {{One, rev, '=', Rev}, true}, {{One, rev, '=', First}, false},
                 {{One, rev, '<', Rev + 1}, true}, {{One, rev, '<', Rev}, false},
                 {{One, rev, '>', First}, true}, {{One, rev, '>', Rev}, false},
                 {{One, rev, '>', 0}, true},
                 {{None, rev, '=', Rev}, false}, {{None, rev, '<', Rev}, false},
                 {{None, rev, '>', 0}, false}]],
        %% All of them, wherever the one stands that does not hold.
        ?assertMatch({true, _, _}, Txn([{One, present}, {None, absent}], [], [])),
        ?assertMatch({false, _, _}, Txn([{One, absent}, {None, absent}], [], [])),
        ?assertMatch({false, _, _}, Txn([{One, present}, {None, present}], [], []))
    end).

operations_answer_one_by_one(Config) ->
    each(Config, fun(Txn, Key) ->
        {A, B, C} = {Key(a), Key(b), Key(c)},
        {true, [ok], _} = Txn([], [{put, A, undefined}], []),
        Operations = [{get, A}, {get, B}, {take, A}, {take, B}, {put, B, 5}, {delete, A},
                      {update_counter, C, 3}, {update_counter, C, {-4, 0, 9}}, {get, B}],
        Expected = [{ok, undefined}, error, {ok, undefined}, error, ok, ok, 3, 9, {ok, 5}],
        ?assertMatch({false, Expected, _}, Txn([{A, absent}], [{put, A, never}], Operations))
    end).

later_operations_see_earlier_ones(Config) ->
    each(Config, fun(Txn, Key) ->
        K = Key(k),
        ?assertMatch({true, [ok, {ok, 1}, 11, {ok, 11}, error, ok, error, 1], _},
                     Txn([{K, absent}],
                         [{put, K, 1}, {get, K}, {update_counter, K, 10}, {take, K}, {get, K},
                          {delete, K}, {take, K}, {update_counter, K, 1}], [])),
        ?assertMatch({true, [{ok, 1}], _}, Txn([{K, '=:=', 1}], [{take, K}], []))
    end).

conditions_see_what_was_there_before(Config) ->
    each(Config, fun(Txn, Key) ->
        K = Key(k),
        ?assertMatch({true, [ok], _}, Txn([{K, absent}, {K, absent}], [{put, K, 1}], [])),
        ?assertMatch({false, [{ok, 1}], _}, Txn([{K, absent}], [], [{get, K}]))
    end).

other_tables_are_in_it_too(Config) ->
    Run = run(Config),
    K = make_ref(),
    [begin
         {true, [ok, ok, ok], Rev} =
             call(Run, I, txn, [[{in, default, {K, absent}}, {in, ordered, {K, absent}}],
                                [{put, K, things}, {in, default, {put, K, default}},
                                 {in, ordered, {put, K, ordered}}], [], #{table => things}]),
         ?assertMatch({true, [{ok, things}, {ok, ordered}, {ok, default}], _},
                      call(Run, I, txn, [[{in, things, {K, rev, '=', Rev}},
                                          {in, ordered, {K, '=:=', ordered}}, {K, present}],
                                         [{in, things, {take, K}}, {in, ordered, {take, K}},
                                          {take, K}], []])),
         %% A key that is called `in'.
         ?assertMatch({true, [ok], _}, call(Run, I, txn, [[{in, absent}], [{put, in, 1}], []])),
         ?assertMatch({true, [{ok, 1}], _},
                      call(Run, I, txn, [[{in, '=:=', 1}, {in, default, {in, '=:=', 1}}],
                                         [{take, in}], []]))
     end || I <- ram_calls:nodes(Run)].

the_revision_is_that_of_the_write_or_the_present_one(Config) ->
    each(Config, fun(Txn, Key) ->
        {A, B} = {Key(a), Key(b)},
        {true, [ok, ok], Rev} = Txn([], [{put, A, 1}, {put, B, 2}], []),
        ?assertMatch({true, _, Rev}, Txn([{A, rev, '=', Rev}, {B, rev, '=', Rev}], [{get, A}], [])),
        ?assertMatch({false, [], Rev}, Txn([{A, absent}], [{put, A, 1}], [])),
        ?assertMatch({true, [ok], Rev}, Txn([], [{delete, Key(none)}], [])),
        ?assertMatch({true, [ok], Next} when Next =:= Rev + 1, Txn([], [{delete, A}], []))
    end).

a_key_is_written_once_whatever_is_done_with_it(Config) ->
    Run = run(Config),
    K = make_ref(),
    Operations = [{put, K, 1}, {put, K, 2}, {update_counter, K, 1}],
    {true, _, Rev} = call(Run, 1, txn, [[], Operations, []]),
    ?assertMatch({conflict, {ok, 3, #{rev := Rev, created_rev := Rev, version := 1}}},
                 call(Run, 2, put, [K, x, #{expect => absent}])),
    {true, _, Next} = call(Run, 3, txn, [[], [{update_counter, K, 1}, {put, K, 9}], []]),
    ?assertMatch({conflict, {ok, 9, #{rev := Next, created_rev := Rev, version := 2}}},
                 call(Run, 2, put, [K, x, #{expect => absent}])),
    {true, _, Again} = call(Run, 1, txn, [[], [{delete, K}, {put, K, 1}], []]),
    ?assertMatch({conflict, {ok, 1, #{rev := Again, created_rev := Again, version := 1}}},
                 call(Run, 2, put, [K, x, #{expect => absent}])).

what_one_operation_raises_undoes_all(Config) ->
    Run = run(Config),
    [begin
         {K, Text} = {{new, make_ref()}, {text, make_ref()}},
         ok = call(Run, I, put, [Text, "text"]),
         Wrong = [{put, K, 1}, {take, Text}, {put, Text, again}, {get, K},
                  {update_counter, Text, 1}, {put, K, 2}],
         [?assertEqual(Reason, raised(Run, I, txn, Lists))
          || {Reason, Lists} <-
                 [{{not_an_integer, Text}, [[], Wrong, []]},
                  {{not_an_integer, Text}, [[{K, present}], [{put, K, 1}, {take, K}], Wrong]},
                  {{no_table, nowhere}, [[], [{put, K, 1}, {in, nowhere, {put, K, 1}}], []]},
                  {{no_table, nowhere}, [[{in, nowhere, {K, absent}}], [{put, K, 1}], []]}]],
         ?assertEqual([error, {ok, "text"}], [call(Run, I, fetch, [Key]) || Key <- [K, Text]])
     end || I <- ram_calls:nodes(Run)].

nobody_sees_a_part_of_it(Config) ->
    Run = run(Config),
    Ms = ram_case:amount(2000, 20000),
    Accounts = [{account, N} || N <- lists:seq(1, 5)],
    ok = call(Run, 1, put_many, [[{Account, 100} || Account <- Accounts]]),
    Readers = ram_load:spawn_all(Run, [1, 2, 3], 1, fun ?MODULE:watch/2, [Accounts, Ms]),
    Writers = ram_load:spawn_all(Run, [1, 2, 3], 3, fun ?MODULE:transfer/2, [Accounts, Ms]),
    ok = ram_load:wait_all(Readers ++ Writers).

%% @doc Moves money, as long as told, where there is some.
transfer(_Number, [Accounts, Ms]) ->
    transfer_until(Accounts, erlang:monotonic_time(millisecond) + Ms).

transfer_until(Accounts, Deadline) ->
    [From, To] = random_two(Accounts),
    {true, [{ok, Has}, {ok, _}], _} = ram:txn([], [{get, From}, {get, To}], []),
    Amount = rand:uniform(10),
    _ = [ram:txn([{From, '=:=', Has}],
                 [{put, From, Has - Amount}, {update_counter, To, Amount}], []) || Has >= Amount],
    case erlang:monotonic_time(millisecond) > Deadline of
        true -> ok;
        false -> transfer_until(Accounts, Deadline)
    end.

random_two(List) ->
    [One, Other | _] = [X || {_, X} <- lists:sort([{rand:uniform(), X} || X <- List])],
    [One, Other].

%% @doc The sum is the same, and nobody owes anything.
watch(_Number, [Accounts, Ms]) ->
    Sum = 100 * length(Accounts),
    watch_until(Accounts, Sum, erlang:monotonic_time(millisecond) + Ms).

watch_until(Accounts, Sum, Deadline) ->
    {true, Results, _} = ram:txn([], [{get, Account} || Account <- Accounts], []),
    Amounts = [Amount || {ok, Amount} <- Results],
    case {lists:sum(Amounts), lists:min(Amounts) >= 0} of
        {Sum, true} ->
            case erlang:monotonic_time(millisecond) > Deadline of
                true -> ok;
                false -> watch_until(Accounts, Sum, Deadline)
            end;
        _ ->
            {half_done, Amounts}
    end.

%%% Limits

as_many_parts_as_promised_are_done_and_no_more(Config) ->
    Run = run(Config),
    [?assertEqual(ok, ram_peers:call(Run, I, ?MODULE, many, [4096]))
     || I <- ram_calls:nodes(Run)],
    Wrong = [{[[{k, absent} || _ <- lists:seq(1, 4097)], [], []], 1, "4096 conditions"},
             {[[], [{get, k} || _ <- lists:seq(1, 4097)], []], 2, "4096 operations"},
             {[[], [], [{take, k} || _ <- lists:seq(1, 2049)]], 3, "a take counts twice"}],
    [begin
         {badarg, #{Position := Why}} =
             ram_peers:call(Run, 1, ram_load, explained, [ram, txn, Lists]),
         ?assertMatch({_, [_ | _]}, {Why, string:find(unicode:characters_to_list(Why), Words)})
     end || {Lists, Position, Words} <- Wrong].

%% @doc So many conditions, puts and gets.
many(Count) ->
    Numbers = lists:seq(1, Count),
    {true, Results, _} = ram:txn([{{many, N}, absent} || N <- Numbers],
                                 [{put, {many, N}, N} || N <- Numbers], []),
    Results = [ok || _ <- Numbers],
    {false, Found, _} = ram:txn([{{many, 1}, absent}], [], [{get, {many, N}} || N <- Numbers]),
    Found = [{ok, N} || N <- Numbers],
    ram:delete_many([{many, N} || N <- Numbers]).

results_beyond_the_limit_are_refused(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, ?MODULE, put_large, [15 bsl 20]),
    ?assertEqual({results_too_large, 64 bsl 20},
                 raised(Run, 1, txn, [[], [{put, k, 1}, {get, large}, {get, large}, {get, large},
                                           {get, large}, {get, large}], []])),
    ?assertEqual(error, call(Run, 1, fetch, [k])),
    ?assertEqual(not_applied, call(Run, 1, outcome, [{results_too_large, 64 bsl 20}])),
    ?assertEqual(true, ram_peers:call(Run, 2, ?MODULE, same, [large, 3])),
    ok = call(Run, 1, delete, [large]).

put_large(Bytes) ->
    ram:put(large, binary:copy(<<7>>, Bytes)).

%% @doc Is it answered whole, so often?
same(Key, Times) ->
    {true, Results, _} = ram:txn([], [{get, Key} || _ <- lists:seq(1, Times)], []),
    Results =:= [ram:fetch(Key) || _ <- lists:seq(1, Times)].

%% The pairs of the same map in another order, as another node may have them.
values_that_cost_too_much_to_compare_are_refused(Config) ->
    Run = run(Config),
    Maps = fun(Size, Last) -> (maps:from_keys(lists:seq(1, Size), 7))#{last => Last} end,
    Expect = fun(K, V) -> [[{K, '=:=', V}], [{get, K}], []] end,
    ok = call(Run, 1, put_many, [[{medium, Maps(20000, 1)}, {large, Maps(50000, 1)}]]),
    ?assertMatch({true, _, _}, call(Run, 1, txn, Expect(large, Maps(50000, 1)))),
    ?assertMatch({false, _, _}, call(Run, 1, txn, Expect(large, Maps(50001, 1)))),
    ?assertMatch({false, _, _}, call(Run, 1, txn, Expect(medium, Maps(20000, 2)))),
    Reason = {compared_too_large, 131072},
    ?assertEqual(Reason, raised(Run, 1, txn, Expect(large, Maps(50000, 2)))),
    Put = [large, new, #{expect => {value, Maps(50000, 2)}}],
    ?assertEqual(Reason, raised(Run, 2, put, Put)),
    %% Many small ones, of a large value.
    Many = [{large, '=:=', #{last => N}} || N <- lists:seq(1, 4096)],
    ?assertMatch({false, _, _}, call(Run, 3, txn, [Many, [], []])),
    ?assertEqual(not_applied, call(Run, 1, outcome, [Reason])),
    ?assertMatch({true, _, _}, call(Run, 1, txn, Expect(large, Maps(50000, 1)))).

what_is_sent_has_the_limit_of_a_batch(Config) ->
    Run = run(Config),
    Value = binary:copy(<<7>>, 200000),
    Puts = [{put, {sent, N}, Value} || N <- lists:seq(1, 100)],
    ?assertEqual({batch_too_large, (16 bsl 20) + (64 bsl 10)}, raised(Run, 1, txn, [[], Puts, []])),
    ?assertMatch({key_too_large, _},
                 raised(Run, 1, txn, [[{binary:copy(<<7>>, 70000), absent}], [], []])),
    ?assertEqual(error, call(Run, 1, fetch, [{sent, 1}])).

a_wrong_part_is_named(Config) ->
    Run = run(Config),
    Fun = fun() -> local end,
    Deep = lists:foldl(fun(_, Inner) -> #{Inner => 1} end, bottom, lists:seq(1, 1000)),
    Wrong = [{[k, [], []], 1, "must be a list of conditions, and is k"},
             {[[{k, absent} | x], [], []], 1, "improper tail x"},
             {[[{k, absent}, {k, gone}], [], []], 1, "element 2 of it is {k,gone}"},
             {[[{k, rev, '>=', 1}], [], []], 1, "element 1"},
             {[[{k, rev, '=', -1}], [], []], 1, "element 1"},
             {[[{k, rev, '=', 1.0}], [], []], 1, "element 1"},
             {[[{in, "t", {k, absent}}], [], []], 1, "element 1"},
             {[[{in, t, {in, t, {k, absent}}}], [], []], 1, "element 1"},
             {[[], [get], []], 2, "must be a list of operations; element 1 of it is get"},
             {[[], [{get, k}, {put, k}], []], 2, "element 2 of it is {put,k}"},
             {[[], [{update_counter, k, 1.5}], []], 2, "element 1"},
             {[[], [], [{update_counter, k, {1, 2}}]], 3, "element 1"},
             {[[], [], [{in, 7, {get, k}}]], 3, "element 1"},
             {[[], [], #{}], 3, "must be a list of operations"},
             {[[], [], [], #{tabel => t}], 4, "tabel is no option of this call; it knows table, "},
             {[[], [], [], #{table => 7}], 4, "the option table"},
             {[[{k, absent}, {Fun, absent}], [], []], 1, "element 2: a key must not hold"},
             {[[], [{put, k, Fun}, {in, t, {get, {Fun}}}], []], 2, "element 2: a key must"},
             {[[], [], [{take, [Fun]}]], 3, "element 1: a key must not hold"},
             {[[], [], [{get, Deep}]], 3, "element 1: maps in map keys"}],
    [begin
         {Reason, Why} = ram_peers:call(Run, 1, ram_load, explained, [ram, txn, Lists]),
         Text = maps:get(Position, Why, Why),
         ?assertEqual({Text, badarg, true},
                      {Text, Reason, is_binary(Text) andalso string:find(Text, Words) =/= nomatch})
     end || {Lists, Position, Words} <- Wrong],
    ?assertEqual(error, call(Run, 1, fetch, [k])).

%%% Faults

%% Each transfer counts itself; whoever pays is told once.
no_transfer_is_done_twice_or_half_when_the_leader_is_lost(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    Others = [1, 2, 3] -- [Leader],
    ok = call(Run, 1, put_many, [[{purse, 0}, {debt, 0}, {paid, 0}]]),
    Self = self(),
    Writers = [spawn_link(fun() ->
                                  Self ! {self(), ram_peers:call(Run, I, ?MODULE, transfers, [4000],
                                                                 60000)}
                          end) || I <- Others, _ <- [1, 2, 3]],
    ram_peers:eventually(fun() -> call(Run, hd(Others), get, [paid]) > 100 end),
    ok = ram_peers:kill(Run, Leader),
    Told = [receive {Writer, Of} -> Of end || Writer <- Writers],
    _ = ram_peers:restart(Run, Leader),
    Done = lists:sum([D || {D, _} <- Told]),
    ?assertEqual(0, lists:sum([U || {_, U} <- Told])),
    ?assertMatch({true, [{ok, Done}, {ok, Owed}, {ok, Done}], _} when Owed =:= -Done,
                 call(Run, hd(Others), txn, [[], [{get, purse}, {get, debt}, {get, paid}], []])),
    ct:pal("~b transfers", [Done]).

%% @doc Pays for so long; how many are done, and of how many that is not known.
transfers(Ms) ->
    transfers(erlang:monotonic_time(millisecond) + Ms, {0, 0}).

transfers(Deadline, {Done, Unknown} = Told) ->
    Pay = fun() ->
                  ram:txn([{paid, present}, {purse, rev, '>', 0}],
                          [{update_counter, purse, 1}, {update_counter, debt, -1},
                           {update_counter, paid, 1}], [])
          end,
    case erlang:monotonic_time(millisecond) > Deadline of
        true -> Told;
        false ->
            try Pay() of
                {true, [Count, _, Count], _} -> transfers(Deadline, {Done + 1, Unknown})
            catch
                error:{timeout, _} -> transfers(Deadline, {Done, Unknown + 1})
            end
    end.
