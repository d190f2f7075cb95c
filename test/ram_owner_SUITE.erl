%% Owned keys: a key goes with the process or the node that owns it, once, for everyone; and who
%% comes back is told what it has lost.
-module(ram_owner_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, amount/2]).
-import(ram_peers, [call/4, raised/4, eventually/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([whatever_puts_a_key_may_give_it_an_owner/1,
         a_put_ends_the_ownership_and_an_update_keeps_it/1,
         a_key_goes_when_its_process_ends/1,
         a_key_of_a_process_that_has_ended_goes_at_once/1,
         a_key_of_a_process_of_another_node_goes_with_it/1,
         a_key_goes_when_its_node_is_killed/1,
         a_key_goes_when_its_node_is_started_again/1,
         a_key_goes_when_its_node_is_removed/1,
         a_key_goes_when_ram_is_started_again_and_its_owner_is_told/1,
         the_leaders_own_processes_lose_their_keys_when_it_is_killed/1,
         who_was_cut_off_for_long_is_told_and_nobody_else_loses_anything/1,
         who_was_cut_off_for_a_moment_keeps_all/1,
         who_comes_back_by_a_snapshot_is_told/1,
         a_suspended_leader_that_wakes_ends_nobody/1,
         owners_survive_a_restart_of_all_and_a_snapshot/1,
         a_backup_restores_no_owned_key/1,
         a_watch_is_told_why_an_owned_key_went/1,
         wrong_owners_are_named_and_change_nothing/1,
         many_keys_of_one_owner_hold_nobody_up/1]).
-export([own_many/2, transact/2, update/2, told/2, waiter/0, put_on/2, longest/2]).

-define(TIMEOUT_MS, 1500).
%% What is promised is two seconds; on a busy machine another may come to lead meanwhile.
-define(LATE_MS, amount(20000, 2000)).
-define(ALL, [1, 2, 3]).

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(Case, Config)
  when Case =:= who_comes_back_by_a_snapshot_is_told;
       Case =:= owners_survive_a_restart_of_all_and_a_snapshot ->
    start(Config, [{snapshot_every, 100}]);
init_per_testcase(_Case, Config) ->
    start(Config, []).

start(Config, More) ->
    ram_case:start_cluster(Config, 3, [{owner_timeout_ms, ?TIMEOUT_MS} | More]).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

whatever_puts_a_key_may_give_it_an_owner(Config) ->
    Run = run(Config),
    ok = call(Run, 1, create_table, [ordered, #{type => ordered_set}]),
    Owner = owner(Run, 1),
    Options = #{owner => Owner},
    ok = call(Run, 1, put, [put, 1, Options]),
    {ok, _} = call(Run, 1, put, [put_rev, 1, Options#{return => rev, ttl => 3600000}]),
    error = call(Run, 1, put, [put_old, 1, Options#{return => old}]),
    true = call(Run, 1, put_new, [put_new, 1, Options]),
    {ok, _} = call(Run, 1, cas, [cas, absent, 1, Options]),
    {true, [ok, ok], _} =
        call(Run, 1, txn, [[], [{put, txn, 1, Options}, {put, txn_stays, 1, #{}}], []]),
    {ok, ok} = ram_peers:call(Run, 1, ?MODULE, transact, [tx, Owner]),
    ok = call(Run, 1, put, [large, binary:copy(<<"large">>, 200000), Options]),
    ok = call(Run, 1, put, [in_table, 1, Options#{table => ordered}]),
    Keys = [put, put_rev, put_old, put_new, cas, txn, tx, large],
    [?assertMatch({ok, _, #{owner := Owner}}, call(Run, I, lookup, [Key]))
     || I <- ?ALL, Key <- Keys],
    {ok, _, #{ttl := Left}} = call(Run, 2, lookup, [put_rev]),
    ?assert(is_integer(Left)),
    ?assertMatch({conflict, {ok, 1, #{owner := Owner}}},
                 call(Run, 2, put, [put, 2, #{expect => absent}])),
    ?assertMatch({ok, _, #{owner := none}}, call(Run, 2, lookup, [txn_stays])),
    kill(Run, Owner),
    [gone(Run, [Key], #{}) || Key <- Keys],
    gone(Run, [in_table], #{table => ordered}),
    [?assertEqual(1, call(Run, I, size, [])) || I <- ?ALL].

transact(Key, Owner) ->
    ram:transaction(fun(Tx) -> ram_tx:put(Tx, Key, 1, #{owner => Owner}) end).

a_put_ends_the_ownership_and_an_update_keeps_it(Config) ->
    Run = run(Config),
    Owner = owner(Run, 2),
    [ok = call(Run, 2, put, [Key, 1, #{owner => Owner}])
     || Key <- [put, updated, counted, touched]],
    ok = call(Run, 1, put, [put, 2]),
    ok = ram_peers:call(Run, 1, ?MODULE, update, [updated, 1]),
    2 = call(Run, 3, update_counter, [counted, 1]),
    true = call(Run, 3, touch, [touched, 3600000]),
    [?assertMatch({ok, _, #{owner := Owner}}, call(Run, 1, lookup, [Key]))
     || Key <- [updated, counted, touched]],
    kill(Run, Owner),
    gone(Run, [updated, counted, touched], #{}),
    ?assertMatch({ok, 2, #{owner := none}}, call(Run, 1, lookup, [put])).

update(Key, By) ->
    ram:update(Key, 0, fun(Value) -> Value + By end).

a_key_goes_when_its_process_ends(Config) ->
    Run = run(Config),
    [begin
         Owner = owner(Run, I),
         ok = call(Run, I, put, [{key, I}, v, #{owner => Owner}]),
         stop(Run, Owner),
         gone(Run, [{key, I}], #{})
     end || I <- ?ALL].

a_key_of_a_process_that_has_ended_goes_at_once(Config) ->
    Run = run(Config),
    Owner = owner(Run, 2),
    kill(Run, Owner),
    [begin
         ok = call(Run, I, put, [{key, I}, v, #{owner => Owner}]),
         gone(Run, [{key, I}], #{})
     end || I <- ?ALL].

a_key_of_a_process_of_another_node_goes_with_it(Config) ->
    Run = run(Config),
    Owners = [{I, owner(Run, I)} || I <- ?ALL],
    [ok = call(Run, At, put, [{At, I}, v, #{owner => Owner}])
     || At <- ?ALL, {I, Owner} <- Owners],
    ok = call(Run, 1, put, [node, v, #{owner => ram_peers:node(Run, 3)}]),
    [begin
         kill(Run, Owner),
         gone(Run, [{At, I} || At <- ?ALL], #{})
     end || {I, Owner} <- Owners],
    ?assertMatch({ok, v, _}, call(Run, 2, lookup, [node])).

a_key_goes_when_its_node_is_killed(Config) ->
    Run = run(Config),
    Killed = not_leading(Run),
    Rest = ?ALL -- [Killed],
    own_both(Run, Killed),
    Begun = now_ms(),
    ram_peers:kill(Run, Killed),
    gone(Run, Rest, [process, node], #{}),
    Passed = now_ms() - Begun,
    ?assert(Passed >= ?TIMEOUT_MS - 300, Passed),
    ?assert(Passed =< ?TIMEOUT_MS + ?LATE_MS, Passed).

a_key_goes_when_its_node_is_started_again(Config) ->
    Run = run(Config),
    Killed = not_leading(Run),
    own_both(Run, Killed),
    ram_peers:kill(Run, Killed),
    _ = ram_peers:restart(Run, Killed),
    gone(Run, [process, node], #{}).

a_key_goes_when_its_node_is_removed(Config) ->
    Run = run(Config),
    Removed = not_leading(Run),
    own_both(Run, Removed),
    [Via | _] = Rest = ?ALL -- [Removed],
    ok = call(Run, Via, remove_node, [ram_peers:node(Run, Removed)]),
    gone(Run, Rest, [process, node], #{}).

a_key_goes_when_ram_is_started_again_and_its_owner_is_told(Config) ->
    Run = run(Config),
    Again = not_leading(Run),
    Owner = owner(Run, Again),
    ok = call(Run, Again, put, [process, v, #{owner => Owner}]),
    ok = ram_peers:call(Run, Again, application, stop, [ram]),
    {ok, _} = ram_peers:call(Run, Again, application, ensure_all_started, [ram]),
    gone(Run, [process], #{}),
    eventually(fun() -> [process] =:= told_of(Run, Owner) end).

the_leaders_own_processes_lose_their_keys_when_it_is_killed(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    own_both(Run, Leader),
    ram_peers:kill(Run, Leader),
    gone(Run, ?ALL -- [Leader], [process, node], #{}).

who_was_cut_off_for_long_is_told_and_nobody_else_loses_anything(Config) ->
    Run = run(Config),
    Cut = not_leading(Run),
    Rest = ?ALL -- [Cut],
    {Owner, Idle} = {owner(Run, Cut), owner(Run, Cut)},
    Others = [{I, owner(Run, I)} || I <- Rest],
    ok = call(Run, Cut, put, [process, v, #{owner => Owner}]),
    [ok = call(Run, I, put, [{other, I}, v, #{owner => Other}]) || {I, Other} <- Others],
    ram_peers:suspend(Run, Cut),
    gone(Run, Rest, [process], #{}),
    [?assertMatch({ok, v, #{owner := Other}}, call(Run, I, lookup, [{other, I}]))
     || {I, Other} <- Others],
    ok = call(Run, hd(Rest), put, [process, taken, #{owner => element(2, hd(Others))}]),
    ram_peers:resume(Run, Cut),
    eventually(fun() -> [process] =:= told_of(Run, Owner) end),
    ?assertEqual([], told_of(Run, Idle)),
    ?assertMatch({ok, taken, _}, call(Run, Cut, lookup, [process, #{timeout => 20000}])),
    kill(Run, Owner),
    kill(Run, Idle),
    ?assertMatch({ok, taken, _}, call(Run, Cut, lookup, [process])).

who_was_cut_off_for_a_moment_keeps_all(Config) ->
    Run = run(Config),
    Cut = not_leading(Run),
    own_both(Run, Cut),
    [begin
         ram_peers:suspend(Run, Cut, ?TIMEOUT_MS div 3),
         eventually(fun() -> call(Run, Cut, leader, []) =/= undefined end)
     end || _ <- lists:seq(1, 5)],
    [?assertMatch({ok, v, _}, call(Run, I, lookup, [Key, #{timeout => 20000}]))
     || I <- ?ALL, Key <- [process, node]].

who_comes_back_by_a_snapshot_is_told(Config) ->
    Run = run(Config),
    Cut = not_leading(Run),
    [Via | _] = Rest = ?ALL -- [Cut],
    Owner = owner(Run, Cut),
    ok = call(Run, Cut, put, [process, v, #{owner => Owner}]),
    %% It knows of the key.
    Local = [process, none, #{reads => local}],
    eventually(fun() -> v =:= call(Run, Cut, get, Local) end),
    ram_peers:suspend(Run, Cut),
    gone(Run, Rest, [process], #{}),
    Before = purged(Run, Via),
    [ok = call(Run, Via, put, [{filler, N rem 10}, N]) || N <- lists:seq(1, 1000)],
    eventually(fun() -> purged(Run, Via) > Before + 200 end),
    ram_peers:resume(Run, Cut),
    eventually(fun() -> [process] =:= told_of(Run, Owner) end).

purged(Run, I) ->
    #{purged_index := Index} = call(Run, I, status, []),
    Index.

%% Its rounds found all others silent for as long as it slept.
a_suspended_leader_that_wakes_ends_nobody(Config) ->
    Run = run(Config),
    [own(Run, I, {key, I}) || I <- ?ALL],
    [begin
         Leader = ram_peers:leader(Run, hd(?ALL)),
         ram_peers:suspend(Run, Leader, ?TIMEOUT_MS div 2),
         eventually(fun() -> call(Run, Leader, leader, []) =/= undefined end)
     end || _ <- lists:seq(1, 3)],
    [?assertMatch({ok, v, _}, call(Run, 1, lookup, [{key, I}, #{timeout => 20000}]))
     || I <- ?ALL].

owners_survive_a_restart_of_all_and_a_snapshot(Config) ->
    Run = run(Config),
    Stays = not_leading(Run),
    Owner = own(Run, Stays, process),
    Rest = ?ALL -- [Stays],
    [ok = call(Run, 1, put, [{filler, N rem 10}, N]) || N <- lists:seq(1, 500)],
    [begin
         ram_peers:shut_down(Run, I),
         _ = ram_peers:restart(Run, I),
         eventually(fun() -> {ok, 500} =:= call(Run, I, fetch, [{filler, 0}, #{timeout => 20000}])
                    end)
     end || I <- Rest],
    [?assertMatch({ok, v, #{owner := Owner}}, call(Run, I, lookup, [process])) || I <- ?ALL],
    kill(Run, Owner),
    gone(Run, [process], #{}),
    %% And those of all, when all are started again.
    own(Run, Stays, process),
    [ok = ram_peers:halt(Run, I) || I <- ?ALL],
    [_ = ram_peers:restart(Run, I) || I <- ?ALL],
    gone(Run, [process], #{}).

a_backup_restores_no_owned_key(Config) ->
    Run = run(Config),
    File = filename:join(proplists:get_value(priv_dir, Config), "owned.backup"),
    own(Run, 1, owned),
    ok = call(Run, 1, put, [plain, v]),
    ok = call(Run, 1, backup, [File]),
    [ok = call(Run, 1, delete, [Key]) || Key <- [owned, plain]],
    ok = call(Run, 2, restore, [File]),
    ?assertEqual([plain], call(Run, 3, keys, [])).

a_watch_is_told_why_an_owned_key_went(Config) ->
    Run = run(Config),
    Owner = own(Run, 2, process),
    {ok, _, _} = ram_peers:call(Run, 3, ram_listener, watch, [told, {key, process}, #{}]),
    kill(Run, Owner),
    Got = fun() -> ram_peers:call(Run, 3, ram_listener, got, [told]) end,
    eventually(fun() -> Got() =/= [] end),
    ?assertMatch([{_Rev, [{delete, process, owner_down}]}], Got()).

wrong_owners_are_named_and_change_nothing(Config) ->
    Run = run(Config),
    Elsewhere = self(),
    [?assertEqual(badarg, raised(Run, 1, Function, Arguments))
     || Owner <- [Elsewhere, node(), 'nobody@nowhere', none, "pid", 7, make_ref()],
        {Function, Arguments} <-
            [{put, [k, v, #{owner => Owner}]}, {put_new, [k, v, #{owner => Owner}]},
             {cas, [k, absent, v, #{owner => Owner}]},
             {txn, [[], [{put, k, v, #{owner => Owner}}], []]}]],
    ?assertEqual(badarg, raised(Run, 1, put_many, [[{k, v}], #{owner => Elsewhere}])),
    ?assertEqual(error, call(Run, 1, lookup, [k])).

many_keys_of_one_owner_hold_nobody_up(Config) ->
    Run = run(Config),
    Count = amount(2000, 20000),
    Owner = own_all(Run, 2, Count),
    ?assertEqual(Count, call(Run, 1, size, [])),
    Writer = ram_peers:call(Run, 3, erlang, spawn, [?MODULE, put_on, [writer, 0]]),
    kill(Run, Owner),
    eventually(fun() -> call(Run, 1, size, []) =< 1 end),
    Longest = ram_peers:call(Run, 3, ?MODULE, longest, [Writer, make_ref()]) / 1000,
    ram_figure:at_most("longest put while the keys of an owner go", Longest, 50, "ms").

put_on(Key, Longest) ->
    receive
        {stop, Ref, To} -> To ! {Ref, Longest}
    after 0 ->
            {Us, ok} = timer:tc(ram, put, [Key, Longest]),
            put_on(Key, max(Us, Longest))
    end.

longest(Writer, Ref) ->
    Writer ! {stop, Ref, self()},
    receive {Ref, Us} -> Us end.

%%% Owners

%% A process of a node, with this key.
own(Run, I, Key) ->
    Owner = owner(Run, I),
    ok = call(Run, I, put, [Key, v, #{owner => Owner}]),
    Owner.

own_both(Run, I) ->
    own(Run, I, process),
    ok = call(Run, I, put, [node, v, #{owner => ram_peers:node(Run, I)}]).

own_all(Run, I, Count) ->
    Owner = owner(Run, I),
    [ok = ram_peers:call(Run, I, ?MODULE, own_many, [Owner, lists:seq(N, N + 999)])
     || N <- lists:seq(1, Count, 1000)],
    Owner.

own_many(Owner, Numbers) ->
    Puts = [{put, {owned, N}, v, #{owner => Owner}} || N <- Numbers],
    {true, _, _} = ram:txn([], Puts, []),
    ok.

owner(Run, I) ->
    ram_peers:call(Run, I, erlang, spawn, [?MODULE, waiter, []]).

waiter() ->
    waiter([]).

waiter(Told) ->
    receive
        {ram_event, owner_lost, Key, Rev} when is_integer(Rev) -> waiter([Key | Told]);
        {told, Ref, From} -> From ! {Ref, lists:reverse(Told)}, waiter(Told);
        stop -> ok
    end.

told(Owner, Ref) ->
    Owner ! {told, Ref, self()},
    receive {Ref, Told} -> Told end.

told_of(Run, Owner) ->
    ram_peers:call(Run, index(Run, Owner), ?MODULE, told, [Owner, make_ref()]).

%% Until it is dead.
kill(Run, Owner) ->
    I = index(Run, Owner),
    true = ram_peers:call(Run, I, erlang, exit, [Owner, kill]),
    is_dead(Run, I, Owner).

%% By itself.
stop(Run, Owner) ->
    I = index(Run, Owner),
    stop = ram_peers:call(Run, I, erlang, send, [Owner, stop]),
    is_dead(Run, I, Owner).

is_dead(Run, I, Owner) ->
    eventually(fun() -> not ram_peers:call(Run, I, erlang, is_process_alive, [Owner]) end).

index(Run, Owner) ->
    [I] = [I || I <- ?ALL, ram_peers:node(Run, I) =:= node(Owner)],
    I.

not_leading(Run) ->
    hd(?ALL -- [ram_peers:leader(Run, 1)]).

gone(Run, Keys, Options) ->
    gone(Run, ?ALL, Keys, Options).

gone(Run, Indexes, Keys, Options) ->
    Asked = Options#{timeout => 20000},
    [eventually(fun() -> false =:= call(Run, I, member, [Key, Asked]) end)
     || I <- Indexes, Key <- Keys].

now_ms() ->
    erlang:monotonic_time(millisecond).
