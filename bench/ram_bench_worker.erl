%% The closed loop of `make bench', the same for all systems: it runs on the node that is measured,
%% and each worker calls the system's function again as soon as it returned.
%%
%% A worker that is answered anything but what it wants fails the whole run. Times are in the native
%% unit of monotonic time.
-module(ram_bench_worker).

-export([run/1, cpu_us/0]).
-export_type([job/0, result/0]).

%% `at_ms' is when to begin, by the system's clock, which all VMs of a machine share. `background'
%% is what one more process does meanwhile without being counted.
-type job() :: #{system := ram_bench_system:name(), operation := ram_bench_system:operation(),
                 background := ram_bench_system:operation() | none,
                 value := ram_bench_system:value(), workers := pos_integer(),
                 seconds := pos_integer(), at_ms := integer()}.
-type result() :: #{counted := ram_bench_buckets:counted(), native := pos_integer()}.

%% Of a clock tick in /proc; it is the same on all machines with Linux.
-define(TICK_US, 10000).

-spec run(job()) -> result().
run(#{system := System, operation := Operation, background := Background, value := Value,
      workers := Workers} = Job) ->
    Buckets = [ram_bench_buckets:new() || _ <- lists:seq(1, Workers)],
    Call = ram_bench_system:call(System, Operation, Value),
    Others = [{ram_bench_system:call(System, Background, Value), ram_bench_buckets:new()}
              || Background =/= none],
    Loops = [spawn_monitor(fun() -> work(Do, Counts, Job) end)
             || {Do, Counts} <- [{Call, Counts} || Counts <- Buckets] ++ Others],
    Took = [receive
                {'DOWN', Monitor, process, Pid, {done, Native}} -> Native;
                {'DOWN', Monitor, process, Pid, Reason} -> error({worker_failed, Reason})
            end || {Pid, Monitor} <- Loops],
    #{counted => ram_bench_buckets:merge([ram_bench_buckets:counted(B) || B <- Buckets]),
      native => lists:max(Took)}.

-spec work(fun((non_neg_integer()) -> term()), counters:counters_ref(), job()) -> no_return().
work(Call, Buckets, #{at_ms := AtMs, seconds := Seconds}) ->
    Random = rand:mwc59_seed(),
    receive after max(0, AtMs - os:system_time(millisecond)) -> ok end,
    Begin = erlang:monotonic_time(),
    End = loop(Call, Buckets, Begin + erlang:convert_time_unit(Seconds, second, native), Random),
    exit({done, End - Begin}).

loop(Call, Buckets, Deadline, Random0) ->
    Random = rand:mwc59(Random0),
    N = rand:mwc59_value(Random),
    Begin = erlang:monotonic_time(),
    Call(N),
    End = erlang:monotonic_time(),
    ram_bench_buckets:count(Buckets, End - Begin),
    if
        End < Deadline -> loop(Call, Buckets, Deadline, Random);
        true -> End
    end.

%% @doc What this VM has used of the processors, in user and system mode.
-spec cpu_us() -> non_neg_integer().
cpu_us() ->
    {ok, Stat} = file:read_file("/proc/self/stat"),
    %% The name stands in parentheses and may hold blanks; after it come state, then numbers.
    [_, Rest] = string:split(Stat, ") ", trailing),
    Fields = string:split(Rest, " ", all),
    ?TICK_US * lists:sum([binary_to_integer(lists:nth(I, Fields)) || I <- [12, 13]]).
