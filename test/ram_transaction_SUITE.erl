%% Transactions: strictly serializable, with the ranges that they read.
-module(ram_transaction_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4, call/5]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([transfers_keep_their_sum_whoever_looks/1,
         of_two_who_rely_on_each_other_one_gives_way/1,
         what_is_inserted_into_a_range_that_was_read_is_noticed/1,
         a_transaction_sees_its_own_writes_and_others_see_all_or_none/1,
         what_ends_a_transaction_leaves_nothing/1,
         one_that_waits_without_a_limit_writes_too/1,
         only_the_process_that_runs_it_may_use_it/1,
         one_that_only_reads_writes_nothing/1]).
%% On the nodes.
-export([transfer/2, leave/2, book/2, own_writes/1, ended/0, unlimited/0, used/0, read_only/0]).

-define(ORDERED, #{table => ordered}).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE, [own_writes]).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

%% On all nodes, by several processes each, at once; what each returned.
on_all(Run, Function, Arguments) ->
    Self = self(),
    Workers = [spawn_link(fun() -> Self ! {self(), call(Run, I, ?MODULE, Function, Arguments)} end)
               || I <- [1, 2, 3], _ <- [1, 2, 3]],
    [receive {Worker, Result} -> Result end || Worker <- Workers].

transfers_keep_their_sum_whoever_looks(Config) ->
    Run = run(Config),
    Accounts = 8,
    ok = call(Run, 1, put_many, [[{{account, N}, 100} || N <- lists:seq(1, Accounts)], ?ORDERED]),
    Sums = lists:append(on_all(Run, transfer, [Accounts, ram_case:amount(30, 1000)])),
    ?assertEqual([100 * Accounts], lists:usort(Sums)).

%% What the account has that is charged is never below zero.
transfer(Accounts, Times) ->
    [begin
         {From, To} = {{account, rand:uniform(Accounts)}, {account, rand:uniform(Accounts)}},
         {ok, Sum} = ram:transaction(fun(Tx) ->
             Balance = ram_tx:get(Tx, From, none, ?ORDERED),
             Amount = min(Balance, rand:uniform(30)),
             ok = ram_tx:put(Tx, From, Balance - Amount, ?ORDERED),
             ok = ram_tx:put(Tx, To, ram_tx:get(Tx, To, none, ?ORDERED) + Amount, ?ORDERED),
             Range = ram_tx:range(Tx, {account, 0}, {account, Accounts}, ?ORDERED),
             true = lists:all(fun({_, Has}) -> Has >= 0 end, Range),
             lists:sum([Has || {_, Has} <- Range])
         end, #{retries => 10000}),
         Sum
     end || _ <- lists:seq(1, Times)].

%% Write skew: each reads what the other writes, and one of them has to stay.
of_two_who_rely_on_each_other_one_gives_way(Config) ->
    Run = run(Config),
    [begin
         ok = call(Run, 1, put_many, [[{{on_call, Round, Who}, true} || Who <- [ada, bob]]]),
         Self = self(),
         Leave = fun(I, Who) -> Self ! {self(), call(Run, I, ?MODULE, leave, [Round, Who])} end,
         Leavers = [spawn_link(fun() -> Leave(I, Who) end)
                    || {I, Who} <- [{2, ada}, {3, bob}]],
         _ = [receive {Leaver, {ok, _}} -> ok end || Leaver <- Leavers],
         OnCall = call(Run, 1, get_many, [[{on_call, Round, Who} || Who <- [ada, bob]]]),
         ?assertEqual([false, true], lists:sort(maps:values(OnCall)))
     end || Round <- lists:seq(1, ram_case:amount(40, 400))].

leave(Round, Who) ->
    ram:transaction(fun(Tx) ->
        Others = [Other || Other <- [ada, bob], Other =/= Who,
                           ram_tx:get(Tx, {on_call, Round, Other})],
        case Others of
            [] -> stays;
            _ -> ram_tx:put(Tx, {on_call, Round, Who}, false)
        end
    end, #{retries => 1000}).

%% A phantom: nobody writes what another has read, but a range is booked that was found free.
what_is_inserted_into_a_range_that_was_read_is_noticed(Config) ->
    Run = run(Config),
    [begin
         Booked = on_all(Run, book, [Round, rand:uniform(3)]),
         ?assertEqual({Round, 1}, {Round, length([ok || {ok, booked} <- Booked])}),
         Slots = call(Run, 1, range, [{slot, Round, 0}, {slot, Round, 100}, ?ORDERED]),
         ?assertEqual(1, length(Slots))
     end || Round <- lists:seq(1, ram_case:amount(20, 200))].

book(Round, Limit) ->
    Options = case Limit of 1 -> ?ORDERED; _ -> #{table => ordered, limit => Limit} end,
    ram:transaction(fun(Tx) ->
        case ram_tx:range(Tx, {slot, Round, 0}, {slot, Round, 100}, Options) of
            [] -> ok = ram_tx:put(Tx, {slot, Round, rand:uniform(100)}, self(), ?ORDERED), booked;
            _ -> taken
        end
    end, #{retries => 1000}).

a_transaction_sees_its_own_writes_and_others_see_all_or_none(Config) ->
    Run = run(Config),
    [?assertEqual(ok, call(Run, I, ?MODULE, own_writes, [I])) || I <- ram_calls:nodes(Run)].

own_writes(I) ->
    Key = fun(N) -> {own, I, N} end,
    ok = ram:put_many([{Key(N), N} || N <- lists:seq(1, 5)], ?ORDERED),
    {ok, done} = ram:transaction(fun(Tx) ->
        ok = ram_tx:put(Tx, Key(3), three, ?ORDERED),
        ok = ram_tx:delete(Tx, Key(2), ?ORDERED),
        ok = ram_tx:put(Tx, Key(2.5), new, ?ORDERED),
        ok = ram_tx:put(Tx, Key(6), gone, ?ORDERED),
        ok = ram_tx:delete(Tx, Key(6), ?ORDERED),
        {ok, three} = ram_tx:fetch(Tx, Key(3), ?ORDERED),
        error = ram_tx:fetch(Tx, Key(2), ?ORDERED),
        none = ram_tx:get(Tx, Key(6), none, ?ORDERED),
        All = [{Key(1), 1}, {Key(2.5), new}, {Key(3), three}, {Key(4), 4}, {Key(5), 5}],
        All = ram_tx:range(Tx, Key(0), Key(9), ?ORDERED),
        Reversed = lists:reverse(All),
        Reversed = ram_tx:range(Tx, Key(0), Key(9), #{table => ordered, reverse => true}),
        Some = lists:sublist(All, 2),
        Some = ram_tx:range(Tx, Key(0), Key(9), #{table => ordered, limit => 2}),
        [] = ram_tx:range(Tx, Key(9), Key(0), ?ORDERED),
        [] = ram_tx:range(Tx, '$last', '$first', ?ORDERED),
        [_] = ram_tx:range(Tx, '$first', '$first', ?ORDERED),
        {ok, 2} = ram:fetch(Key(2), ?ORDERED),
        error = ram:fetch(Key(2.5), ?ORDERED),
        done
    end),
    [{_, 1}, {_, new}, {_, three}, {_, 4}, {_, 5}] = ram:range(Key(0), Key(9), ?ORDERED),
    {ok, new, #{rev := Rev}} = ram:lookup(Key(2.5), ?ORDERED),
    {ok, three, #{rev := Rev, version := 2}} = ram:lookup(Key(3), ?ORDERED),
    ok.

what_ends_a_transaction_leaves_nothing(Config) ->
    ?assertEqual(ok, call(run(Config), 2, ?MODULE, ended, [])).

ended() ->
    Put = fun(Tx) -> ok = ram_tx:put(Tx, never, there) end,
    {aborted, why} = ram:transaction(fun(Tx) -> Put(Tx), ram_tx:abort(Tx, why) end),
    thrown = try ram:transaction(fun(Tx) -> Put(Tx), throw(thrown) end) catch throw:T -> T end,
    oops = try ram:transaction(fun(Tx) -> Put(Tx), error(oops) end) catch error:E -> E end,
    gone = try ram:transaction(fun(Tx) -> Put(Tx), exit(gone) end) catch exit:X -> X end,
    Runs = counters:new(1, []),
    {aborted, conflict} = ram:transaction(fun(Tx) ->
        counters:add(Runs, 1, 1),
        Hits = ram_tx:get(Tx, hits, 0),
        ok = ram:put(hits, Hits + 1),
        Put(Tx)
    end, #{retries => 3}),
    4 = counters:get(Runs, 1),
    {no_table, none} =
        try ram:transaction(fun(Tx) -> Put(Tx), ram_tx:get(Tx, a, b, #{table => none}) end)
        catch error:Reason -> Reason
        end,
    %% What another made of the key meanwhile is known when the fun has failed of it.
    false = ram:member(never),
    {ok, ok} = ram:transaction(fun(Tx) -> ram_tx:put(Tx, there, again) end),
    again = ram:get(there),
    ok.

one_that_waits_without_a_limit_writes_too(Config) ->
    Run = run(Config),
    [?assertEqual(ok, call(Run, I, ?MODULE, unlimited, [])) || I <- ram_calls:nodes(Run)].

unlimited() ->
    Put = fun(Value) -> fun(Tx) -> ram_tx:put(Tx, unlimited, Value) end end,
    {ok, ok} = ram:transaction(Put(1), #{timeout => infinity}),
    {ok, ok} = ram:transaction(Put(2), #{timeout => infinity, retries => 0}),
    2 = ram:get(unlimited),
    ok.

only_the_process_that_runs_it_may_use_it(Config) ->
    ?assertEqual(ok, call(run(Config), 1, ?MODULE, used, [])).

used() ->
    badarg = raised(fun() -> ram:transaction(fun(_) -> ram:transaction(fun(_) -> ok end) end) end),
    {ok, Tx} = ram:transaction(fun(Tx) -> Tx end),
    badarg = raised(fun() -> ram_tx:get(Tx, a) end),
    badarg = raised(fun() -> ram:transaction(fun(_) -> ram_tx:put(Tx, a, 1) end) end),
    {ok, badarg} = ram:transaction(fun(Own) ->
        Self = self(),
        spawn_link(fun() -> Self ! {used, raised(fun() -> ram_tx:get(Own, a) end)} end),
        receive {used, Raised} -> Raised end
    end),
    badarg = raised(fun() -> ram:transaction(not_a_fun) end),
    badarg = raised(fun() -> ram:transaction(fun(_) -> ok end, #{retries => -1}) end),
    badarg = raised(fun() -> ram:transaction(fun(Own) ->
        ram_tx:range(Own, 1, 2, #{table => things})
    end) end),
    badarg = raised(fun() -> ram:transaction(fun(Own) ->
        ram_tx:put(Own, fun() -> local end, 1)
    end) end),
    {aborted, {badarg, #{3 := _}}} = ram:transaction(fun(Own) ->
        ok = ram_tx:put(Own, a, 1, ?ORDERED),
        Local = fun() -> local end,
        ram_tx:abort(Own, ram_load:explained(ram_tx, range, [Own, a, Local, ?ORDERED]))
    end),
    ok.

raised(Call) ->
    try Call() of Result -> {returned, Result} catch error:Reason -> Reason end.

one_that_only_reads_writes_nothing(Config) ->
    Run = run(Config),
    [?assertEqual(ok, call(Run, I, ?MODULE, read_only, [])) || I <- ram_calls:nodes(Run)].

read_only() ->
    {ok, Rev} = ram:put(read_only, 1, #{return => rev}),
    {ok, [1, error]} = ram:transaction(fun(Tx) ->
        [ram_tx:get(Tx, read_only), ram_tx:fetch(Tx, absent)]
    end),
    {ok, Next} = ram:put(read_only, 2, #{return => rev}),
    true = Next =:= Rev + 1,
    ok.
