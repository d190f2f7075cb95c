%% The part of `make bench' that is of watches, in a cluster of three nodes that are separate VMs:
%% what 10,000 of them, each of another key, cost those who put; and how many changes one watch of
%% everything is told of while as many as possible are made.
%%
%% The watches are on the node that leads, since that has the most to do; so are those who put where
%% many watch. Turns with watches and without follow each other, and each pair of turns is a ratio.
-module(ram_bench_watch).

-export([run/3, run/4]).
%% Called on the nodes.
-export([watch_each/1, watch_all/0, watched/1, stop_watching/0, puts/3, fill/3]).
-export_type([measured/0, sizes/0]).

-import(ram_bench_report, [say/2]).

%% Puts a second with watches to those without; and events a second that were told, each once and
%% in order, or `lost'.
-type measured() :: #{puts := float(), events := float() | lost}.
-type sizes() :: #{watches := pos_integer(), writers := pos_integer(), fillers := pos_integer()}.

-define(SIZES, #{watches => 10000, writers => 100, fillers => 10}).
-define(TABLE, ?MODULE).
-define(OPTIONS, #{table => ?TABLE}).
%% Pairs of turns in a round.
-define(PAIRS, 3).
-define(AT_ONCE, 100).
-define(NODES, [1, 2, 3]).

-spec run(map(), pos_integer(), pos_integer()) -> measured().
run(Run, Rounds, Seconds) ->
    run(Run, Rounds, 1000 * Seconds, ?SIZES).

%% @doc With turns of so many milliseconds, and these sizes: the fillers are of each node, and put
%% as much as they can.
-spec run(map(), pos_integer(), pos_integer(), sizes()) -> measured().
run(Run, Rounds, Ms, #{watches := Watches, fillers := Fillers} = Sizes) ->
    Leader = ram_peers:leader(Run, 1),
    ok = ram_peers:call(Run, Leader, create_table, [?TABLE, #{}]),
    Ratios = [beside_watches(Run, Leader, Ms, Sizes) || _ <- lists:seq(1, ?PAIRS * Rounds)],
    Puts = ram_bench_verdict:median(Ratios),
    say("~b watches of different keys: ~.2f times the puts", [Watches, Puts]),
    Told = [of_everything(Run, Leader, Ms, Fillers) || _ <- lists:seq(1, Rounds)],
    Events = case lists:member(lost, Told) of
                 true -> lost;
                 false -> ram_bench_verdict:median(Told)
             end,
    say("one watch of everything, events/s: ~0p", [Events]),
    ok = ram_peers:call(Run, Leader, drop_table, [?TABLE]),
    #{puts => Puts, events => Events}.

on(Run, I, Function, Arguments) ->
    ram_peers:call(Run, I, ?MODULE, Function, Arguments, infinity).

%%% Watches of different keys

beside_watches(Run, I, Ms, #{watches := Watches, writers := Writers}) ->
    Puts = fun() -> on(Run, I, puts, [Watches, Writers, Ms]) end,
    ok = on(Run, I, watch_each, [Watches]),
    With = Puts(),
    ok = on(Run, I, stop_watching, []),
    With / Puts().

%% @doc A process for each key from 1 on, which acknowledges what it is told.
-spec watch_each(pos_integer()) -> ok.
watch_each(Count) ->
    hold(fun() ->
                 Self = self(),
                 Receivers = [spawn_link(fun() ->
                                                 {ok, _, _} = ram:watch({key, N}, ?OPTIONS),
                                                 Self ! {self(), watches},
                                                 acknowledge()
                                         end) || N <- lists:seq(1, Count)],
                 [receive {Each, watches} -> ok end || Each <- Receivers],
                 fun() -> receive stop -> exit(stopped) end end
         end).

-spec acknowledge() -> no_return().
acknowledge() ->
    receive {ram_event, Watch, Rev, [_]} -> ok = ram:watch_ack(Watch, Rev), acknowledge() end.

%% A process of a name that begins with one, and goes on with what that returned.
hold(Begin) ->
    Self = self(),
    {Holder, Monitor} = spawn_monitor(fun() ->
        true = register(?MODULE, self()),
        Next = Begin(),
        Self ! {self(), begun},
        Next()
    end),
    receive
        {Holder, begun} -> demonitor(Monitor, [flush]), ok;
        {'DOWN', Monitor, process, Holder, Reason} -> error(Reason)
    end.

%% @doc Returns when all have ended.
-spec stop_watching() -> ok.
stop_watching() ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! stop,
    receive {'DOWN', Monitor, process, _, stopped} -> ok end.

%% @doc How many so many processes have put meanwhile, of keys from 1 on.
-spec puts(pos_integer(), pos_integer(), pos_integer()) -> non_neg_integer().
puts(Keys, Writers, Ms) ->
    lists:sum(until(Writers, Ms, fun() ->
                                         ok = ram:put(rand:uniform(Keys), value(), ?OPTIONS),
                                         1
                                 end)).

value() -> <<(rand:uniform(1 bsl 40)):128>>.

%% What so many processes have done meanwhile: sums of what Do returned.
until(Processes, Ms, Do) ->
    End = erlang:monotonic_time(millisecond) + Ms,
    Doing = [spawn_monitor(fun() -> exit({done, until(End, Do, 0, End - 1)}) end)
             || _ <- lists:seq(1, Processes)],
    [receive
         {'DOWN', Monitor, process, Pid, {done, Sum}} -> Sum;
         {'DOWN', Monitor, process, Pid, Reason} -> error({worker_failed, Reason})
     end || {Pid, Monitor} <- Doing].

until(End, _Do, Sum, Now) when Now >= End -> Sum;
until(End, Do, Sum, _Now) ->
    More = Do(),
    until(End, Do, Sum + More, erlang:monotonic_time(millisecond)).

%%% A watch of everything

%% Events a second until the last was there.
of_everything(Run, I, Ms, Fillers) ->
    ok = on(Run, I, watch_all, []),
    Nodes = lists:sublist(?NODES, length(ram_peers:nodes(Run))),
    Filling = [spawn_monitor(fun() -> exit({done, on(Run, Node, fill, [Node, Fillers, Ms])}) end)
               || Node <- Nodes],
    Count = lists:sum([receive
                           {'DOWN', Monitor, process, Pid, {done, Sum}} -> Sum;
                           {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
                       end || {Pid, Monitor} <- Filling]),
    Told = on(Run, I, watched, [Count]),
    ok = on(Run, I, stop_watching, []),
    Told.

%% @doc Puts as many keys as it can, each key of this node's own and once in a write; how many.
-spec fill(term(), pos_integer(), pos_integer()) -> non_neg_integer().
fill(Own, Processes, Ms) ->
    Fill = fun() ->
                   Me = {Own, self()},
                   ok = ram:put_many([{{Me, N}, value()} || N <- lists:seq(1, ?AT_ONCE)], ?OPTIONS),
                   ?AT_ONCE
           end,
    lists:sum(until(Processes, Ms, Fill)).

%% @doc One that acknowledges each message, and fails when one is not after the one before.
-spec watch_all() -> ok.
watch_all() ->
    hold(fun() ->
                 {ok, _, Rev} = ram:watch(all, ?OPTIONS),
                 fun() -> follow(Rev, 0, none) end
         end).

follow(Seen, Count, Since) ->
    receive
        {ram_event, _Watch, _Rev, lost} ->
            follow(Seen, lost, Since);
        {ram_event, Watch, Rev, Events} when Rev > Seen ->
            ok = ram:watch_ack(Watch, Rev),
            follow(Rev, Count + length(Events), since(Since));
        {watched, From, Wanted} when Count =:= lost; Count >= Wanted ->
            From ! {self(), rate(Count, Wanted, Since)},
            follow(Seen, Count, Since);
        stop ->
            exit(stopped)
    end.

since(none) -> erlang:monotonic_time(microsecond);
since(Since) -> Since.

rate(lost, _Wanted, _Since) -> lost;
rate(Wanted, Wanted, Since) -> 1.0e6 * Wanted / (erlang:monotonic_time(microsecond) - Since).

%% @doc Events a second, when so many were told.
-spec watched(pos_integer()) -> float() | lost.
watched(Count) ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! {watched, self(), Count},
    receive
        {_Pid, Told} -> demonitor(Monitor, [flush]), Told;
        {'DOWN', Monitor, process, _, Reason} -> error({not_in_order, Reason})
    end.
