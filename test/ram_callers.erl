%% Many callers at once on one node: they run there, and only numbers come back over the standard
%% input and output that controls a node.
-module(ram_callers).

-export([rate/3, rush/2, flood/3, kill/1]).
-export([put_own/1, get_own/1, remove_nobody/1, present/1]).

-define(KINDS, [done, overloaded, timeout, other]).

%% @doc How many puts a second so many callers get done, each one after the other, within so many
%% milliseconds and after as many for the queues to fill; and what else they were told.
-spec rate(pos_integer(), pos_integer(), pos_integer()) ->
          #{rate := float(), overloaded := non_neg_integer(), timeout := non_neg_integer(),
            other := non_neg_integer()}.
rate(Callers, WarmMs, Ms) ->
    Counts = counters:new(length(?KINDS), []),
    Start = now_ms() + WarmMs,
    Workers = [spawn_monitor(fun() -> put_until(Counts, N, Start + Ms) end)
               || N <- lists:seq(1, Callers)],
    pause_until(Start),
    Before = counters:get(Counts, 1),
    pause_until(Start + Ms),
    Done = counters:get(Counts, 1) - Before,
    Took = now_ms() - Start,
    wait(Workers),
    #{done := _} = Told = told(Counts),
    maps:put(rate, Done * 1000 / Took, maps:remove(done, Told)).

put_until(Counts, N, Deadline) ->
    count(Counts, fun() -> put_own(N) end),
    case now_ms() > Deadline of
        true -> ok;
        false -> put_until(Counts, N, Deadline)
    end.

%% @doc Puts values of so many bytes, under a thousand keys, from so many callers until so many puts
%% were acknowledged; who is told that it is too much waits a little.
-spec flood(pos_integer(), pos_integer(), pos_integer()) -> #{atom() => non_neg_integer()}.
flood(Puts, Bytes, Callers) ->
    Counts = counters:new(length(?KINDS), []),
    Workers = [spawn_monitor(fun() -> flood(Counts, Puts, Bytes, N) end)
               || N <- lists:seq(1, Callers)],
    wait(Workers),
    told(Counts).

flood(Counts, Puts, Bytes, N) ->
    Put = fun() -> ram:put(N rem 1000, value_of(Bytes, N)) end,
    count(Counts, Put) =:= overloaded andalso pause_until(now_ms() + 10),
    case counters:get(Counts, 1) >= Puts of
        true -> ok;
        false -> flood(Counts, Puts, Bytes, N + Puts)
    end.

value_of(Bytes, N) ->
    <<N:64, 0:(8 * (Bytes - 8))>>.

%% @doc Calls a function of this module once from each of so many callers at the same time: what
%% each was told, and how many microseconds that took.
-spec rush(pos_integer(), atom()) -> [{N :: pos_integer(), Told :: term(), Us :: integer()}].
rush(Callers, Function) ->
    Call = fun(N) ->
                   receive go -> ok end,
                   exit({told, N, timed(fun() -> ?MODULE:Function(N) end)})
           end,
    Workers = [spawn_monitor(fun() -> Call(N) end) || N <- lists:seq(1, Callers)],
    [Pid ! go || {Pid, _} <- Workers],
    [receive {'DOWN', Monitor, process, Pid, {told, N, {Us, Told}}} -> {N, Told, Us} end
     || {Pid, Monitor} <- Workers].

%% @doc Kills so many callers, a hundred at a time, each with a write or a read under way.
-spec kill(pos_integer()) -> ok.
kill(Callers) when Callers =< 0 ->
    ok;
kill(Callers) ->
    Workers = [spawn_monitor(fun() -> (call_of(N))(N) end) || N <- lists:seq(1, 100)],
    erlang:yield(),
    [exit(Pid, kill) || {Pid, _} <- Workers],
    wait(Workers),
    kill(Callers - 100).

call_of(N) when N rem 2 =:= 0 -> fun ?MODULE:put_own/1;
call_of(_N) -> fun ?MODULE:get_own/1.

timed(Call) ->
    timer:tc(fun() -> try Call() catch error:Reason -> {raised, Reason} end end).

put_own(N) -> ram:put({own, N}, N).
%% By quorum: by a lease it may be answered at once.
get_own(N) -> ram:get({own, N}, undefined, #{reads => quorum}).
remove_nobody(_N) -> ram:remove_node(nobody@nowhere).

%% @doc Which of these have put their own.
present(Numbers) ->
    [N || N <- Numbers, ram:fetch({own, N}) =/= error].

count(Counts, Call) ->
    Kind = try Call() of _ -> done
           catch
               error:{overloaded, _} -> overloaded;
               error:{timeout, _} -> timeout;
               error:_ -> other
           end,
    counters:add(Counts, position(Kind), 1),
    Kind.

told(Counts) ->
    maps:from_list([{Kind, counters:get(Counts, position(Kind))} || Kind <- ?KINDS]).

position(Kind) ->
    1 + length(lists:takewhile(fun(K) -> K =/= Kind end, ?KINDS)).

wait(Workers) ->
    [receive {'DOWN', Monitor, process, Pid, _} -> ok end || {Pid, Monitor} <- Workers],
    ok.

pause_until(Ms) ->
    receive after max(0, Ms - now_ms()) -> ok end.

now_ms() ->
    erlang:monotonic_time(millisecond).
