%% Locks: who holds one, in which order it is waited for, and that nobody is left in the queue who
%% does not know of it. Their ends with processes, nodes and networks are in ram_lock_ends_SUITE.
-module(ram_lock_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_far_holder, [holder/2, ask/3, tell/3, told/1]).
-import(ram_peers, [call/4, call/5, call/6, raised/4, raised/5]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_lock_is_held_by_one_and_the_next_token_is_larger/1,
         whoever_shows_the_token_may_unlock_and_nobody_else/1,
         a_lock_is_waited_for_in_order/1,
         two_hundred_waiters_have_it_one_after_the_other/1,
         a_wait_ends_with_its_time_and_leaves_nothing/1,
         who_has_it_as_its_time_ends_has_it/1,
         two_never_change_a_resource_that_checks_the_token/1,
         a_fun_runs_with_the_lock_and_what_it_raises_is_raised/1,
         a_name_is_any_term/1,
         a_lock_that_makes_no_sense_is_refused/1,
         a_lock_inside_of_a_transaction_is_refused/1,
         tables_of_ram_itself_are_shown_and_named_by_no_call/1]).
%% On the nodes.
-export([fail/1, give_back/2, many_short_waits/2, lock_in_a_transaction/1, in_a_transaction/1,
         number/1]).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE, [fail, lock_in_a_transaction, in_a_transaction, number]).

init_per_suite(Config) ->
    ram_calls:prepare(Config).

end_per_suite(Config) ->
    ram_case:stop(Config).

%% Each of these on the node that leads, and on one that does not.
each(Config, Test) ->
    Run = run(Config),
    [Test(Run, I, make_ref()) || I <- ram_calls:nodes(Run)].

requests(Run, Name) ->
    call(Run, 1, ram_holder, requests, [Name]).

a_lock_is_held_by_one_and_the_next_token_is_larger(Config) ->
    each(Config, fun(Run, I, Name) ->
        [First, Second, Third] = [holder(Run, N) || N <- [I, I, I rem 3 + 1]],
        {ok, Token} = ask(First, lock, [Name]),
        [?assertEqual({error, held}, ask(Other, lock, [Name])) || Other <- [First, Second, Third]],
        ?assertEqual(1, requests(Run, Name)),
        ?assert(ask(First, unlock, [Name, Token])),
        {ok, Next} = ask(Third, lock, [Name, #{wait => 1000}]),
        ?assert(Next > Token),
        ?assertEqual({error, held}, ask(First, lock, [Name, #{wait => 0}])),
        ?assert(ask(Third, unlock, [Name, Next])),
        ?assertEqual(0, requests(Run, Name))
    end).

whoever_shows_the_token_may_unlock_and_nobody_else(Config) ->
    each(Config, fun(Run, I, Name) ->
        [Holder, Waiter, Other] = [holder(Run, N) || N <- [I, I rem 3 + 1, I]],
        ?assertNot(ask(Other, unlock, [Name, 1])),
        {ok, Token} = ask(Holder, lock, [Name]),
        ok = tell(Waiter, lock, [Name, #{wait => 60000}]),
        ok = ram_peers:eventually(fun() -> requests(Run, Name) =:= 2 end),
        %% That of the waiter is among them, and is no token yet.
        [?assertNot(ask(Other, unlock, [Name, Wrong]))
         || Wrong <- lists:seq(Token + 1, Token + 5) ++ [1, Token - 1, 1 bsl 50]],
        ?assertEqual(2, requests(Run, Name)),
        ?assert(ask(Other, unlock, [Name, Token])),
        [{ok, Next}] = told(Waiter),
        ?assertNot(ask(Other, unlock, [Name, Token])),
        ?assert(ask(Other, unlock, [Name, Next]))
    end).

a_lock_is_waited_for_in_order(Config) ->
    each(Config, fun(Run, I, Name) ->
        {ok, Token} = ask(holder(Run, I), lock, [Name]),
        Waiters = [begin
                       Waiter = holder(Run, N rem 3 + 1),
                       ok = tell(Waiter, {?MODULE, give_back}, [Name, N]),
                       ok = ram_peers:eventually(fun() -> requests(Run, Name) =:= N + 1 end),
                       Waiter
                   end || N <- lists:seq(1, 12)],
        ?assert(call(Run, I, unlock, [Name, Token])),
        Tokens = lists:append([told(Waiter) || Waiter <- Waiters]),
        ?assertEqual(lists:sort(Tokens), Tokens),
        ?assertEqual({ok, lists:seq(1, 12)}, call(Run, I, fetch, [{order, Name}]))
    end).

%% As the N-th.
give_back(Name, N) ->
    {ok, Token} = ram:lock(Name, #{wait => 60000}),
    ok = ram:update({order, Name}, [N], fun(Order) -> Order ++ [N] end),
    true = ram:unlock(Name, Token),
    Token.

two_hundred_waiters_have_it_one_after_the_other(Config) ->
    Run = run(Config),
    Name = make_ref(),
    Count = ram_case:amount(200, 2000),
    {Us, Tokens} = timer:tc(fun() ->
        call(Run, 2, ram_holder, lock_all, [Name, Count, 120000], 300000)
    end),
    ct:pal("~b waiters: ~b ms", [Count, Us div 1000]),
    ?assertEqual(Count, length(lists:usort(Tokens))),
    ?assertEqual(lists:sort(Tokens), Tokens),
    ?assertEqual(0, requests(Run, Name)).

a_wait_ends_with_its_time_and_leaves_nothing(Config) ->
    each(Config, fun(Run, I, Name) ->
        [Holder, Waiter] = [holder(Run, N) || N <- [I rem 3 + 1, I]],
        {ok, Token} = ask(Holder, lock, [Name]),
        {Us, Answer} = timer:tc(fun() -> ask(Waiter, lock, [Name, #{wait => 300}]) end),
        ?assertEqual({error, timeout}, Answer),
        ?assert(Us >= 300000),
        ?assertEqual(1, requests(Run, Name)),
        {_, _, Pid} = Waiter,
        ?assertEqual([], call(Run, I, ram_holder, messages, [Pid])),
        ?assertMatch({0, 0, _}, call(Run, I, ram_listener, sizes, [])),
        ?assert(ask(Holder, unlock, [Name, Token]))
    end).

%% Waits that end about when the lock is given back: each is either in time or not, and nobody holds
%% it who was told that it was late.
who_has_it_as_its_time_ends_has_it(Config) ->
    each(Config, fun(Run, I, Name) ->
        Rounds = ram_case:amount(30, 300),
        {Had, Late} = call(Run, I, ?MODULE, many_short_waits, [Name, Rounds], 200000),
        ct:pal("in time ~b, late ~b", [Had, Late]),
        ?assertEqual(0, requests(Run, Name)),
        ?assertMatch({ok, _}, call(Run, I, lock, [Name]))
    end).

many_short_waits(Name, Rounds) ->
    Wait = fun(Ms) ->
                   case ram:lock(Name, #{wait => Ms}) of
                       {ok, Token} -> true = ram:unlock(Name, Token), exit(had);
                       {error, timeout} -> exit(late)
                   end
           end,
    Outcomes = [begin
                    {ok, Token} = ram:lock(Name, #{wait => 10000}),
                    Waiters = [spawn_monitor(fun() -> Wait(Ms) end) || Ms <- lists:seq(1, 20, 2)],
                    receive after N rem 20 -> ok end,
                    true = ram:unlock(Name, Token),
                    [receive {'DOWN', Monitor, process, _, Outcome} -> Outcome end
                     || {_, Monitor} <- Waiters]
                end || N <- lists:seq(1, Rounds)],
    All = lists:append(Outcomes),
    [] = [Outcome || Outcome <- All, Outcome =/= had, Outcome =/= late],
    {length([1 || had <- All]), length([1 || late <- All])}.

two_never_change_a_resource_that_checks_the_token(Config) ->
    Run = run(Config),
    {Lock, Resource} = {make_ref(), make_ref()},
    Rounds = ram_case:amount(10, 100),
    Clients = [holder(Run, I) || I <- [1, 2, 3], _ <- lists:seq(1, 5)],
    [ok = tell(Client, {ram_holder, append}, [Lock, Resource, Rounds, 3]) || Client <- Clients],
    Told = lists:append([told(Client) || Client <- Clients]),
    ?assertEqual([{0, 3 * Rounds, []}], lists:usort(Told)),
    ?assertEqual(length(Clients) * 3 * Rounds, call(Run, 1, ram_holder, appended, [Resource])).

a_fun_runs_with_the_lock_and_what_it_raises_is_raised(Config) ->
    each(Config, fun(Run, I, Name) ->
        Lock = fun(Fun) -> call(Run, I, with_lock, [Name, Fun]) end,
        {ok, Token} = Lock(fun ?MODULE:number/1),
        {ok, {error, held}} = call(Run, I, with_lock, [Name, fun(_) -> ram:lock(Name) end]),
        {ok, {error, timeout}} = Lock(fun(_) -> ram:with_lock(Name, fun ?MODULE:number/1,
                                                              #{wait => 20}) end),
        ?assertEqual({error, lost}, Lock(fun(T) -> ram:unlock(Name, T) end)),
        [?assertEqual({raised, Class, failed},
                      ask(holder(Run, I), {?MODULE, fail}, [{Name, Class}]))
         || Class <- [error, exit, throw]],
        ?assertEqual(0, requests(Run, Name)),
        {ok, Later} = Lock(fun ?MODULE:number/1),
        ?assert(Later > Token),
        {ok, _} = ask(holder(Run, I), lock, [Name]),
        ?assertEqual({error, held}, Lock(fun ?MODULE:number/1)),
        ?assertEqual({error, timeout},
                     call(Run, I, with_lock, [Name, fun ?MODULE:number/1, #{wait => 20}]))
    end).

number(Token) when is_integer(Token) -> Token.

fail({Name, Class}) ->
    ram:with_lock(Name, fun(_) -> erlang:raise(Class, failed, []) end, #{wait => 1000}).

a_name_is_any_term(Config) ->
    Names = [1, 1.0, [], <<>>, #{a => [b]}, {1}, {1, 2}, {'$first'}, '$first', {key, a}, "text",
             lists:seq(1, 3000), fun lists:map/2],
    each(Config, fun(Run, I, Own) ->
        Holder = holder(Run, I),
        Held = [{Name, ask(Holder, lock, [Name, #{wait => N rem 2}])}
                || {N, Name0} <- lists:zip(lists:seq(1, length(Names)), Names),
                   Name <- [{Own, Name0}, Name0]],
        [?assertMatch({_, {ok, _}}, Each) || Each <- Held],
        [?assertEqual({error, held}, ask(Holder, lock, [Name])) || {Name, _} <- Held],
        [?assert(ask(Holder, unlock, [Name, Token])) || {Name, {ok, Token}} <- Held]
    end).

a_lock_that_makes_no_sense_is_refused(Config) ->
    Fun = fun() -> ok end,
    Run = run(Config),
    [?assertEqual({Function, Arguments, badarg},
                  {Function, Arguments, raised(Run, 1, Function, Arguments)})
     || {Function, Arguments} <-
            [{lock, [Fun]}, {lock, [Fun, #{wait => 1}]}, {lock, [a, #{wait => -1}]},
             {lock, [a, #{wait => infinity}]}, {lock, [a, #{wait => 1.0}]},
             {lock, [a, #{wait => 1 bsl 32}]}, {lock, [a, #{table => things}]},
             {lock, [a, #{timeout => -1}]}, {lock, [a, []]}, {unlock, [Fun, 1]}, {unlock, [a, 0]},
             {unlock, [a, x]}, {with_lock, [a, x]}, {with_lock, [a, Fun]},
             {with_lock, [Fun, fun ?MODULE:number/1]},
             {with_lock, [a, fun ?MODULE:number/1, #{wiat => 1}]}]],
    Long = binary:copy(<<"n">>, 70000),
    [?assertEqual({key_too_large, 65536}, raised(Run, 1, Function, Arguments))
     || {Function, Arguments} <- [{lock, [Long]}, {lock, [Long, #{wait => 1}]},
                                  {unlock, [Long, 1]}]].

a_lock_inside_of_a_transaction_is_refused(Config) ->
    each(Config, fun(Run, I, Name) ->
        [?assertEqual(badarg, raised(Run, I, ?MODULE, lock_in_a_transaction, [Call]))
         || Call <- [{lock, [Name]}, {lock, [Name, #{wait => 1}]}, {unlock, [Name, 1]},
                     {with_lock, [Name, fun ?MODULE:number/1]}]],
        ?assertEqual(0, requests(Run, Name))
    end).

lock_in_a_transaction({Function, Arguments}) ->
    ram:transaction(fun(_Tx) -> apply(ram, Function, Arguments) end).

tables_of_ram_itself_are_shown_and_named_by_no_call(Config) ->
    Run = run(Config),
    {ok, _} = call(Run, 1, lock, [make_ref()]),
    Own = '$ram_lock',
    Options = #{table => Own},
    In = fun(What) -> [{in, Own, What}] end,
    ?assertEqual([default, ordered, things], call(Run, 1, tables, [])),
    [?assertEqual({Function, Arguments, badarg},
                  {Function, Arguments, raised(Run, 1, Function, Arguments)})
     || {Function, Arguments} <-
            [{create_table, [Own, #{}]}, {create_table, ['$ram_', #{}]}, {drop_table, [Own]},
             {info, [Own]}, {get, [k, d, Options]}, {get, [k, d, Options#{reads => local}]},
             {fetch, [k, Options]}, {lookup, [k, Options]}, {member, [k, Options]},
             {get_many, [[k], Options]}, {size, [Options]}, {put, [k, v, Options]},
             {put_new, [k, v, Options]}, {cas, [k, absent, v, Options]}, {delete, [k, Options]},
             {take, [k, Options]}, {touch, [k, 1, Options]}, {ttl, [k, Options]},
             {update, [k, 1, fun ?MODULE:number/1, Options]},
             {get_and_update, [k, fun ?MODULE:number/1, Options]},
             {update_counter, [k, 1, 0, Options]}, {put_many, [[{k, v}], Options]},
             {delete_many, [[k], Options]}, {delete_range, [a, b, Options]},
             {txn, [[], [], [], Options]}, {txn, [In({k, absent}), [], []]},
             {txn, [[], In({get, k}), []]}, {txn, [[], [], In({put, k, v})]},
             {to_list, [Options]}, {keys, [Options]}, {select, [[], Options]},
             {foreach, [fun ?MODULE:number/1, Options]}, {range, [a, b, Options]},
             {prefix, ["a", Options]}, {first, [Options]}, {last, [Options]}, {next, [k, Options]},
             {prev, [k, Options]}, {watch, [all, Options]}]],
    [?assertEqual({Call, badarg}, {Call, raised(Run, 1, ?MODULE, in_a_transaction, [Call])})
     || Call <- [{get, [k, d, Options]}, {fetch, [k, Options]}, {put, [k, v, Options]},
                 {delete, [k, Options]}, {range, [a, b, Options]}]].

in_a_transaction({Function, Arguments}) ->
    ram:transaction(fun(Tx) -> apply(ram_tx, Function, [Tx | Arguments]) end).
