%% Locks whose holders and waiters end, are frozen, cut off or not answered: the next one has the
%% lock, whoever lost it is told and refused, and nobody stays in the queue who does not know of it.
-module(ram_lock_ends_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_far_holder, [holder/2, ask/3, tell/3, told/1, messages/1]).
-import(ram_peers, [call/4, call/5]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([the_lock_of_a_process_that_ends_goes_to_the_next_at_once/1,
         a_waiter_that_ends_is_passed_over/1,
         the_lock_of_a_node_that_is_killed_goes_to_the_next_in_time/1,
         a_holder_has_its_lock_when_a_connection_to_its_node_has_gone_dead/1,
         a_holder_that_was_frozen_is_told_and_refused/1,
         a_holder_that_was_cut_off_is_told_and_refused/1,
         a_waiter_that_was_frozen_waits_again/1,
         a_request_that_was_given_up_on_its_way_leaves_nothing/1,
         a_request_that_arrives_after_it_was_withdrawn_is_none/1,
         a_request_of_a_node_that_was_cut_off_leaves_nothing/1,
         a_waiter_whose_member_stopped_leaves_nothing/1,
         a_lock_that_cannot_be_given_back_is_given_back_later/1,
         no_fault_lets_two_change_a_resource_that_checks_the_token/1]).
%% On the nodes.
-export([run_until_told/1, lock_once/1, arrive_late/2]).

-define(OWNER_TIMEOUT_MS, 1500).
%% What the contract allows beside the timeout.
-define(TAKEN_OVER_MS, ?OWNER_TIMEOUT_MS + 2000).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [run_until_told, lock_once]).

init_per_testcase(_Case, Config) ->
    ram_case:start_cluster(Config, 3, [{owner_timeout_ms, ?OWNER_TIMEOUT_MS}]).

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

%% In the queue of this lock, whose holder is in it too.
wait_in({Run, I, _} = Waiter, Name, Others) ->
    ok = tell(Waiter, lock, [Name, #{wait => 60000}]),
    ok = ram_peers:eventually(fun() ->
        call(Run, I, ram_holder, requests, [Name]) =:= Others + 1
    end).

is_free(Run, I, Name) ->
    ok = ram_peers:eventually(fun() -> call(Run, I, ram_holder, requests, [Name]) =:= 0 end).

%% A node that does not lead, and another one.
two_nodes(Run) ->
    Leader = ram_peers:leader(Run, 1),
    [Follower, Other] = [1, 2, 3] -- [Leader],
    {Follower, Other}.

taken_over_in_time(Name, Since) ->
    Ms = erlang:monotonic_time(millisecond) - Since,
    ram_figure:at_most(Name, Ms, ?TAKEN_OVER_MS, "ms").

now_ms() ->
    erlang:monotonic_time(millisecond).

the_lock_of_a_process_that_ends_goes_to_the_next_at_once(Config) ->
    Run = run(Config),
    [begin
         Name = make_ref(),
         [{_, _, Pid} = Holder, Waiter] = [holder(Run, N) || N <- [I, I rem 3 + 1]],
         {ok, Token} = ask(Holder, lock, [Name]),
         ok = wait_in(Waiter, Name, 1),
         Since = now_ms(),
         true = call(Run, I, erlang, exit, [Pid, Reason]),
         [{ok, Next}] = told(Waiter),
         ram_figure:at_most("lock of a process that ends", now_ms() - Since, 500, "ms"),
         ?assert(Next > Token),
         ?assertNot(ask(Waiter, unlock, [Name, Token])),
         ?assert(ask(Waiter, unlock, [Name, Next]))
     end || I <- [1, 2, 3], Reason <- [kill, shutdown]].

a_waiter_that_ends_is_passed_over(Config) ->
    Run = run(Config),
    [Holder, First, {_, _, Pid} = Second, Third] = [holder(Run, I) || I <- [1, 2, 3, 1]],
    {ok, Token} = ask(Holder, lock, [name]),
    [ok = wait_in(Waiter, name, N) || {Waiter, N} <- [{First, 1}, {Second, 2}, {Third, 3}]],
    ok = call(Run, 3, ram_holder, stop, [Pid]),
    ok = ram_peers:eventually(fun() -> call(Run, 1, ram_holder, requests, [name]) =:= 3 end),
    ?assert(ask(Holder, unlock, [name, Token])),
    [{ok, Next}] = told(First),
    ?assertEqual({error, held}, ask(Holder, lock, [name])),
    ?assert(ask(First, unlock, [name, Next])),
    [{ok, Last}] = told(Third),
    ?assert(Last > Next).

the_lock_of_a_node_that_is_killed_goes_to_the_next_in_time(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Other, Third] = [1, 2, 3] -- [Leader],
    {ok, Token} = ask(holder(Run, Leader), lock, [name]),
    Waiter = holder(Run, Other),
    ok = wait_in(Waiter, name, 1),
    Since = now_ms(),
    ok = ram_peers:kill(Run, Leader),
    [{ok, Next}] = told(Waiter),
    %% An election comes before it, too.
    taken_over_in_time("lock of a node that is killed", Since),
    ?assert(Next > Token),
    ?assertEqual({error, held}, ask(holder(Run, Third), lock, [name])).

%% The connection lasts longer than the timeout where nothing asks for less.
a_holder_has_its_lock_when_a_connection_to_its_node_has_gone_dead(Config) ->
    Run = run(Config),
    {Far, Other} = two_nodes(Run),
    Holder = holder(Run, Far),
    {ok, Token} = ask(Holder, lock, [name]),
    ok = ram_links:freeze(ram_peers:links(Run), ram_peers:leader(Run, 1), Far),
    timer:sleep(3 * ?OWNER_TIMEOUT_MS),
    ?assertEqual({error, held}, ask(holder(Run, Other), lock, [name, #{wait => 0}])),
    ?assert(ask(Holder, unlock, [name, Token])).

a_holder_that_was_frozen_is_told_and_refused(Config) ->
    Run = run(Config),
    {Frozen, Other} = two_nodes(Run),
    [Holder, Running, Waiter] = [holder(Run, I) || I <- [Frozen, Frozen, Other]],
    {ok, Token} = ask(Holder, lock, [name]),
    ok = running(Running, in_fun),
    ok = wait_in(Waiter, name, 1),
    Since = now_ms(),
    ok = ram_peers:suspend(Run, Frozen),
    [{ok, Next}] = told(Waiter),
    taken_over_in_time("lock of a node that is frozen", Since),
    {ok, _} = ask(Waiter, lock, [in_fun, #{wait => 20000}]),
    ok = ram_peers:resume(Run, Frozen),
    ?assert(Next > Token),
    refused(Holder, Token),
    lost_in_fun(Running).

running({Run, I, _} = Holder, Name) ->
    ok = tell(Holder, {?MODULE, run_until_told}, [Name]),
    ok = ram_peers:eventually(fun() -> call(Run, I, ram_holder, requests, [Name]) =:= 1 end).

run_until_told(Name) ->
    ram:with_lock(Name, fun(_Token) -> receive go -> done end end).

lost_in_fun({Run, I, Pid} = Holder) ->
    go = call(Run, I, erlang, send, [Pid, go]),
    ?assertEqual([{error, lost}], told(Holder)).

%% It is told, and its token is none any more.
refused(Holder, Token) ->
    ok = ram_peers:eventually(fun() ->
        [] =/= [Rev || {ram_event, owner_lost, {name, _}, Rev} <- messages(Holder)]
    end),
    ?assertNot(ask(Holder, unlock, [name, Token])),
    ?assertEqual({error, held}, ask(Holder, lock, [name])).

a_holder_that_was_cut_off_is_told_and_refused(Config) ->
    Run = run(Config),
    Leader = ram_peers:leader(Run, 1),
    [Holder, Running] = [holder(Run, Leader) || _ <- [1, 2]],
    [Other | _] = Others = [1, 2, 3] -- [Leader],
    Waiter = holder(Run, Other),
    {ok, Token} = ask(Holder, lock, [name]),
    ok = running(Running, in_fun),
    ok = wait_in(Waiter, name, 1),
    Since = now_ms(),
    ok = ram_links:cut_both(ram_peers:links(Run), [Leader], Others),
    [{ok, Next}] = told(Waiter),
    taken_over_in_time("lock of a node that is cut off", Since),
    {ok, _} = ask(Waiter, lock, [in_fun, #{wait => 20000}]),
    ?assert(Next > Token),
    ?assertMatch({raised, error, {timeout, _}},
                 ask(Holder, lock, [name, #{timeout => 500, wait => 100}])),
    ok = ram_peers:heal(Run),
    refused(Holder, Token),
    lost_in_fun(Running),
    %% Of the request that was given up nothing is left: the holder, and the other one's.
    ok = ram_peers:eventually(fun() -> call(Run, Other, ram_holder, requests, [name]) =:= 1 end).

%% Its request has gone, with its place, and its time has not.
a_waiter_that_was_frozen_waits_again(Config) ->
    Run = run(Config),
    {Frozen, Other} = two_nodes(Run),
    [Holder, Waiter] = [holder(Run, I) || I <- [Other, Frozen]],
    {ok, Token} = ask(Holder, lock, [name]),
    ok = wait_in(Waiter, name, 1),
    ok = ram_peers:suspend(Run, Frozen),
    ok = ram_peers:eventually(fun() -> call(Run, Other, ram_holder, requests, [name]) =:= 1 end),
    ok = ram_peers:resume(Run, Frozen),
    ok = ram_peers:eventually(fun() -> call(Run, Other, ram_holder, requests, [name]) =:= 2 end),
    ?assert(ask(Holder, unlock, [name, Token])),
    [{ok, Next}] = told(Waiter),
    ?assertEqual([], messages(Waiter)),
    ?assert(ask(Waiter, unlock, [name, Next])).

%% Whose caller lives on. Some are on their way when their time is over, and arrive.
a_request_that_was_given_up_on_its_way_leaves_nothing(Config) ->
    Run = run(Config),
    {Follower, Other} = two_nodes(Run),
    %% From here on there is a table.
    {ok, Token} = ask(holder(Run, Other), lock, [name]),
    true = call(Run, Other, unlock, [name, Token]),
    Holders = [holder(Run, I) || I <- [Follower, Other], _ <- lists:seq(1, 10)],
    Count = ram_case:amount(100, 1000),
    [ok = tell(Holder, {ram_holder, given_up}, [make_ref(), Count]) || Holder <- Holders],
    GivenUp = lists:sum(lists:append([told(Holder) || Holder <- Holders])),
    ct:pal("given up: ~b of ~b", [GivenUp, Count * length(Holders)]),
    ?assert(GivenUp > 0 andalso GivenUp < Count * length(Holders)),
    ok = ram_peers:eventually(fun() -> locks(Run, Other) =:= [] end).

%% The same write, once more: as one that was on its way all the time.
a_request_that_arrives_after_it_was_withdrawn_is_none(Config) ->
    Run = run(Config),
    {Follower, _Other} = two_nodes(Run),
    ok = call(Run, Follower, ?MODULE, lock_once, [free]),
    {ok, _} = ask(Holder = holder(Run, Follower), lock, [held]),
    [begin
         ok = ask(Holder, {?MODULE, arrive_late}, [Name, Options]),
         ?assertEqual(Requests, call(Run, Follower, ram_holder, requests, [Name]))
     end || {Name, Requests} <- [{free, 0}, {held, 1}], Options <- [#{}, #{wait => 10000}]].

arrive_late(Name, Options) ->
    Self = self(),
    Tracer = spawn_link(fun() -> receive {trace, Self, call, Call} -> Self ! {sent, Call} end end),
    1 = erlang:trace_pattern({ram_write, run, 4}, true, [global]),
    1 = erlang:trace(self(), true, [call, {tracer, Tracer}]),
    {timeout, _} = try ram:lock(Name, Options#{timeout => 0})
                   catch error:Reason -> Reason
                   after erlang:trace(self(), false, [call])
                   end,
    {ram_write, run, [{Member, 0, Table}, Conditions, [Put], []]} =
        receive {sent, Call} -> Call end,
    {Name, Id} = element(3, Put),
    ok = ram_peers:eventually(fun() -> lists:member({Id}, ram_holder:keys()) end),
    {ran, false, _, []} = ram_write:run({Member, 5000, Table}, Conditions, [Put], []),
    ok.

locks(Run, I) ->
    [Key || {_Name, _Id} = Key <- call(Run, I, ram_holder, keys, [])].

a_request_of_a_node_that_was_cut_off_leaves_nothing(Config) ->
    Run = run(Config),
    {Cut, Other} = two_nodes(Run),
    Holders = [holder(Run, Cut) || _ <- [1, 2, 3, 4]],
    {ok, _} = ask(holder(Run, Other), lock, [held]),
    %% What it sends arrives later.
    [ok = ram_links:hold(ram_peers:links(Run), Cut, I) || I <- [1, 2, 3] -- [Cut]],
    [ok = tell(Holder, lock, [Name, #{timeout => 500, wait => Wait}])
     || {Holder, {Name, Wait}} <- lists:zip(Holders, [{Name, Wait} || Name <- [free, held],
                                                                      Wait <- [0, 30000]])],
    [?assertMatch([{raised, error, {timeout, _}}], told(Holder)) || Holder <- Holders],
    ok = ram_peers:heal(Run),
    ok = is_free(Run, Other, free),
    ok = ram_peers:eventually(fun() -> call(Run, Other, ram_holder, requests, [held]) =:= 1 end),
    %% Whatever was on its way has arrived before this.
    {ok, Token} = ask(hd(Holders), lock, [free]),
    ?assert(ask(hd(Holders), unlock, [free, Token])),
    ?assertEqual([held], [Name || {Name, _Id} <- locks(Run, Other)]).

a_waiter_whose_member_stopped_leaves_nothing(Config) ->
    Run = run(Config),
    {Stopped, Other} = two_nodes(Run),
    [Holder, Waiter] = [holder(Run, I) || I <- [Other, Stopped]],
    {ok, Token} = ask(Holder, lock, [name]),
    ok = wait_in(Waiter, name, 1),
    ok = call(Run, Stopped, stop, []),
    ?assertMatch([{raised, error, _}], told(Waiter)),
    ok = call(Run, Stopped, start, []),
    ok = ram_peers:eventually(fun() -> call(Run, Other, ram_holder, requests, [name]) =:= 1 end),
    ?assert(ask(Holder, unlock, [name, Token])),
    ok = is_free(Run, Other, name).

a_lock_that_cannot_be_given_back_is_given_back_later(Config) ->
    Run = run(Config),
    {Cut, Other} = two_nodes(Run),
    Holder = {_, _, Pid} = holder(Run, Cut),
    ok = tell(Holder, with_lock, [name, fun(_) -> receive go -> done end end, #{timeout => 500}]),
    ok = ram_peers:eventually(fun() -> call(Run, Cut, ram_holder, requests, [name]) =:= 1 end),
    [ok = ram_links:hold(ram_peers:links(Run), Cut, I) || I <- [1, 2, 3] -- [Cut]],
    go = call(Run, Cut, erlang, send, [Pid, go]),
    ?assertMatch([{raised, error, {timeout, _}}], told(Holder)),
    ok = ram_peers:heal(Run),
    ok = is_free(Run, Other, name).

no_fault_lets_two_change_a_resource_that_checks_the_token(Config) ->
    Run = run(Config),
    Clients = [holder(Run, I) || I <- [1, 2, 3], _ <- [1, 2, 3]],
    Rounds = ram_case:amount(1, 10),
    [begin
         [ok = tell(Client, {ram_holder, append}, [lock, resource, 20, 3]) || Client <- Clients],
         fault(Fault, Run, ram_peers:leader(Run, 1))
     end || _ <- lists:seq(1, Rounds), Fault <- [freeze, cut, hold]],
    Told = lists:append([told(Client) || Client <- Clients]),
    {Refused, Counted, Wrong} = lists:unzip3(Told),
    Appended = call(Run, 1, ram_holder, appended, [resource]),
    ct:pal("refused ~b, counted ~b of ~b", [lists:sum(Refused), lists:sum(Counted), Appended]),
    ?assertEqual([], lists:append(Wrong)),
    ?assert(lists:sum(Counted) > 0),
    ?assert(Appended >= lists:sum(Counted)).

%% The leader or another one, for longer than its owners have.
fault(freeze, Run, Leader) ->
    ok = ram_peers:suspend(Run, Leader),
    more_is_counted(Run, [1, 2, 3] -- [Leader]),
    ok = ram_peers:resume(Run, Leader);
fault(cut, Run, Leader) ->
    ok = ram_links:cut_both(ram_peers:links(Run), [Leader], [1, 2, 3] -- [Leader]),
    more_is_counted(Run, [1, 2, 3] -- [Leader]),
    ok = ram_peers:heal(Run);
fault(hold, Run, Leader) ->
    [Held | _] = Others = [1, 2, 3] -- [Leader],
    ok = ram_links:hold(ram_peers:links(Run), Held, Leader),
    ok = ram_links:hold(ram_peers:links(Run), Held, hd(Others -- [Held])),
    more_is_counted(Run, Others -- [Held]),
    ok = ram_peers:heal(Run).

%% By those who are left, after all locks of the others have gone.
more_is_counted(Run, [I | _]) ->
    ok = call(Run, I, ?MODULE, lock_once, [lock]).

lock_once(Name) ->
    {ok, Token} = ram:lock(Name, #{wait => 50000}),
    _ = ram:unlock(Name, Token),
    ok.
