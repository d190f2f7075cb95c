%% The part of `make bench' that is of locks, in a cluster of three nodes that are separate VMs:
%% what a lock costs that nobody else wants, and how fast one is handed over that many wait for.
%%
%% The first is measured on a node that follows: its one process takes a lock and gives it back, and
%% puts twice, by turns. Those who wait are spread over the nodes; each that has the lock gives it
%% back at once, and waits again.
-module(ram_bench_lock).

-export([run/3, run/4, follower/1]).
%% Called on the nodes.
-export([beside_puts/1, hold_again/2]).
-export_type([measured/0, sizes/0]).

-import(ram_bench_report, [say/2]).

%% The time of a lock and its unlock to that of two puts, medians; and how often a second somebody
%% else has the lock.
-type measured() :: #{lock := float(), handovers := float()}.
-type sizes() :: #{waiters := pos_integer()}.

-define(SIZES, #{waiters => 20}).
-define(WAIT_MS, 60000).

-spec run(map(), pos_integer(), pos_integer()) -> measured().
run(Run, Rounds, Seconds) ->
    run(Run, Rounds, 1000 * Seconds, ?SIZES).

%% @doc Each for so many milliseconds.
-spec run(map(), pos_integer(), pos_integer(), sizes()) -> measured().
run(Run, Rounds, Ms, #{waiters := Waiters}) ->
    Follower = follower(Run),
    Median = fun(Do) -> ram_bench_verdict:median([Do() || _ <- lists:seq(1, Rounds)]) end,
    Lock = Median(fun() -> on(Run, Follower, beside_puts, [Ms]) end),
    say("lock and unlock take ~.2f times two puts", [Lock]),
    Handovers = Median(fun() -> handovers(Run, Ms, Waiters) end),
    say("~b waiters: ~b handovers/s", [Waiters, round(Handovers)]),
    #{lock => Lock, handovers => Handovers}.

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, infinity).

%% @doc A node that does not lead, where there is one.
-spec follower(map()) -> pos_integer().
follower(Run) ->
    Leader = ram_peers:leader(Run, 1),
    hd((ram_peers:members(Run) -- [Leader]) ++ [Leader]).

%% @doc By turns for so long: the median of the one to that of the other.
-spec beside_puts(pos_integer()) -> float().
beside_puts(Ms) ->
    Lock = fun() -> {ok, Token} = ram:lock(?MODULE), true = ram:unlock(?MODULE, Token) end,
    Puts = fun() -> ok = ram:put(?MODULE, 1), ok = ram:put(?MODULE, 2) end,
    [Locks, Twice] = ram_bench_turns:medians([Lock, Puts], Ms),
    Locks / Twice.

%% A second.
handovers(Run, Ms, Waiters) ->
    Nodes = ram_peers:members(Run),
    Of = fun(I) -> length(lists:seq(I, Waiters, length(Nodes))) end,
    Holding = [spawn_monitor(fun() -> exit({done, on(Run, I, hold_again, [Of(I), Ms])}) end)
               || I <- Nodes],
    Had = [receive
               {'DOWN', Monitor, process, Pid, {done, Count}} -> Count;
               {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
           end || {Pid, Monitor} <- Holding],
    1000 * lists:sum(Had) / Ms.

%% @doc How often so many processes of this node have had the lock meanwhile.
-spec hold_again(non_neg_integer(), pos_integer()) -> non_neg_integer().
hold_again(Processes, Ms) ->
    End = erlang:monotonic_time(millisecond) + Ms,
    Holding = [spawn_monitor(fun() -> exit({done, hold_until(End, 0)}) end)
               || _ <- lists:seq(1, Processes)],
    lists:sum([receive
                   {'DOWN', Monitor, process, Pid, {done, Had}} -> Had;
                   {'DOWN', Monitor, process, Pid, Reason} -> error({holder_failed, Reason})
               end || {Pid, Monitor} <- Holding]).

hold_until(End, Had) ->
    {ok, Token} = ram:lock({?MODULE, waited_for}, #{wait => ?WAIT_MS}),
    IsOver = erlang:monotonic_time(millisecond) >= End,
    true = ram:unlock({?MODULE, waited_for}, Token),
    case IsOver of
        true -> Had;
        false -> hold_until(End, Had + 1)
    end.
