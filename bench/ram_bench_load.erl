%% What the benchmark of sizes runs on the nodes themselves. Keys are the integers from 1 on, values
%% are binaries of 16 bytes. Times are microseconds; those that leave the VM are of the system's
%% clock, which all VMs of a machine share.
-module(ram_bench_load).

-export([fill_log/0, fill/3, overwrite/2, stop_overwriting/0, first_answers/1]).
-export([settled/0, growth/2, ets_growth/1]).
-export_type([latency/0, memory/0]).

%% Latencies of many puts; `slow' has begin and length of each that took SLOW_US at least.
-type latency() :: #{puts := non_neg_integer(), us := non_neg_integer(),
                     p50 := number(), p99 := number(), p999 := number(),
                     longest := non_neg_integer(), slow := [{integer(), integer()}]}.

%% Bytes that this VM has allocated, and those of its resident set.
-type memory() :: #{allocated := integer(), resident := integer()}.

-define(STOP, ram_bench_stop).
-define(SLOW_US, 10000).
%% Latencies are counted in steps, up to the default time limit of a call.
-define(STEP_US, 50).
-define(STEPS, 100000).

value(N) ->
    <<N:128>>.

%% @doc Puts keys 1 to Entries from so many processes; when each `Step' of them was done, since the
%% start.
-spec fill(pos_integer(), pos_integer(), pos_integer()) -> [non_neg_integer()].
fill(Entries, Step, Processes) ->
    Counts = #{next => atomics:new(1, []), done => atomics:new(1, []),
               marks => atomics:new(Entries div Step, []), entries => Entries, step => Step,
               start => erlang:monotonic_time(microsecond)},
    _ = in_processes(Processes, fun() -> fill_on(Counts) end),
    [atomics:get(maps:get(marks, Counts), I) || I <- lists:seq(1, Entries div Step)].

fill_on(#{next := Next, done := Done, entries := Entries} = Counts) ->
    case atomics:add_get(Next, 1, 1) of
        N when N > Entries -> ok;
        N ->
            ok = ram:put(N, value(N)),
            mark(atomics:add_get(Done, 1, 1), Counts),
            fill_on(Counts)
    end.

mark(Done, #{step := Step, marks := Marks, start := Start}) when Done rem Step =:= 0 ->
    atomics:put(Marks, Done div Step, erlang:monotonic_time(microsecond) - Start);
mark(_Done, _Counts) ->
    ok.

%% @doc Puts random keys again, from so many processes, until it is told to stop.
-spec overwrite(pos_integer(), pos_integer()) -> latency().
overwrite(Entries, Processes) ->
    persistent_term:put(?STOP, false),
    Steps = counters:new(?STEPS, [write_concurrency]),
    {Us, Slow} = timer:tc(fun() ->
                                  in_processes(Processes,
                                               fun() -> overwrite_on(Entries, Steps, []) end)
                          end),
    Counts = [counters:get(Steps, I) || I <- lists:seq(1, ?STEPS)],
    Percentile = fun(Share) -> percentile(Share * lists:sum(Counts), Counts, ?STEP_US) end,
    #{puts => lists:sum(Counts), us => Us, p50 => Percentile(0.5), p99 => Percentile(0.99),
      p999 => Percentile(0.999), slow => lists:append(Slow),
      longest => lists:max([Percentile(1.0) | [Took || {_, Took} <- lists:append(Slow)]])}.

overwrite_on(Entries, Steps, Slow) ->
    case persistent_term:get(?STOP) of
        true -> Slow;
        false ->
            N = rand:uniform(Entries),
            Begin = os:system_time(microsecond),
            {Took, ok} = timer:tc(ram, put, [N, value(N)]),
            counters:add(Steps, min(?STEPS, 1 + Took div ?STEP_US), 1),
            More = [{Begin, Took} || Took >= ?SLOW_US],
            overwrite_on(Entries, Steps, More ++ Slow)
    end.

percentile(Rank, [Count | Counts], Us) when Rank > Count, Counts =/= [] ->
    percentile(Rank - Count, Counts, Us + ?STEP_US);
percentile(_Rank, _Counts, Us) ->
    Us.

-spec stop_overwriting() -> ok.
stop_overwriting() ->
    persistent_term:put(?STOP, true).

%% Runs Fun in so many processes; what they return. One that fails fails the caller.
in_processes(Count, Fun) ->
    Workers = [spawn_monitor(fun() -> exit({done, Fun()}) end) || _ <- lists:seq(1, Count)],
    [receive
         {'DOWN', Monitor, process, Pid, {done, Result}} -> Result;
         {'DOWN', Monitor, process, Pid, Reason} -> error({worker_failed, Reason})
     end || {Pid, Monitor} <- Workers].

%% @doc Starts the application and asks until a put and a get are answered; how long each of the
%% three took since the call.
-spec first_answers(pos_integer()) ->
          #{start := non_neg_integer(), put := non_neg_integer(), get := non_neg_integer()}.
first_answers(Key) ->
    Begin = erlang:monotonic_time(microsecond),
    Took = fun() -> erlang:monotonic_time(microsecond) - Begin end,
    ok = ram:start(),
    Start = Took(),
    ok = answer(fun() -> ram:put(Key, value(Key)) end),
    Put = Took(),
    Expected = value(Key),
    Expected = answer(fun() -> ram:get(Key) end),
    #{start => Start, put => Put, get => Took()}.

answer(Ask) ->
    try Ask()
    catch error:{timeout, _} -> answer(Ask)
    end.

%% @doc How much the memory of this VM grows by one set table with the same entries.
-spec ets_growth(pos_integer()) -> memory().
ets_growth(Entries) ->
    Before = settled(),
    Table = ets:new(?MODULE, [set, public]),
    ok = ets_fill(Table, Entries),
    After = settled(),
    Entries = ets:info(Table, size),
    growth(Before, After).

ets_fill(_Table, 0) ->
    ok;
ets_fill(Table, N) ->
    true = ets:insert(Table, {N, value(N)}),
    ets_fill(Table, N - 1).

%% @doc Without the garbage of processes.
-spec settled() -> memory().
settled() ->
    lists:foreach(fun erlang:garbage_collect/1, processes()),
    #{allocated => erlang:memory(total), resident => ram_load:resident_bytes()}.

-spec growth(memory(), memory()) -> memory().
growth(Before, After) ->
    maps:map(fun(What, Bytes) -> Bytes - maps:get(What, Before) end, After).

%% @doc Puts until the log keeps in memory as much as it ever does: that is not of the entries.
-spec fill_log() -> ok.
fill_log() ->
    Value = binary:copy(<<0>>, 1000000),
    [ok = ram:put(filling, Value) || _ <- lists:seq(1, 20)],
    ram:delete(filling).
