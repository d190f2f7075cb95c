%% Things that take turns in one process, so that whatever else the machine does befalls them alike.
-module(ram_bench_turns).

-export([medians/2]).

%% @doc Each again and again for so many milliseconds, and once at least: the median of what each
%% took, in nanoseconds, in the same order.
-spec medians([fun(() -> term())], pos_integer()) -> [float()].
medians(Dos, Ms) ->
    turns(Dos, erlang:monotonic_time(millisecond) + Ms, [[] || _ <- Dos]).

turns(Dos, End, Before) ->
    Taken = [[nanoseconds(Do) | Taken] || {Do, Taken} <- lists:zip(Dos, Before)],
    case erlang:monotonic_time(millisecond) >= End of
        true -> [ram_bench_verdict:median(Each) || Each <- Taken];
        false -> turns(Dos, End, Taken)
    end.

nanoseconds(Do) ->
    Begin = erlang:monotonic_time(nanosecond),
    _ = Do(),
    erlang:monotonic_time(nanosecond) - Begin.
