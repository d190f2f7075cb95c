%% What a test measures, and the limit that is promised for it.
%%
%% `make soak' asserts the limit and prints all figures as a table at its end: each is a line in the
%% file that RAM_FIGURES names. In the short form of a test ten times the limit is allowed, so that
%% only what waits for something it should not wait for fails on a machine that is busy.
-module(ram_figure).

-export([at_most/4, at_least/4, told/3, median/1]).

-define(SLACK, 10).

%% @doc Fails the case when a figure is above its limit.
-spec at_most(string(), number(), number(), string()) -> ok.
at_most(Name, Value, Limit, Unit) ->
    Allowed = Limit * slack(),
    keep(Name, Value, Unit, ["at most ", text(Limit)], Value =< Limit),
    Value =< Allowed orelse error({above_its_limit, Name, Value, Allowed}),
    ok.

%% @doc Fails the case when a figure is below its limit.
-spec at_least(string(), number(), number(), string()) -> ok.
at_least(Name, Value, Limit, Unit) ->
    Allowed = Limit / slack(),
    keep(Name, Value, Unit, ["at least ", text(Limit)], Value >= Limit),
    Value >= Allowed orelse error({below_its_limit, Name, Value, Allowed}),
    ok.

%% @doc A figure without a limit.
-spec told(string(), number(), string()) -> ok.
told(Name, Value, Unit) ->
    keep(Name, Value, Unit, "", true).

%% @doc The lower one of two in the middle.
-spec median([number(), ...]) -> number().
median(Numbers) ->
    lists:nth((length(Numbers) + 1) div 2, lists:sort(Numbers)).

slack() -> ram_case:amount(?SLACK, 1).

%% In the file there is a tab between the columns: the name, the value with its unit, the limit, and
%% whether it holds.
keep(Name, Value, Unit, Limit, Holds) ->
    Verdict = case Holds of true -> ""; false -> "MISSED" end,
    Columns = [Name, [text(Value), $\s, Unit], Limit, Verdict],
    io:format("figure: ~ts~n", [lists:join(" | ", Columns)]),
    case os:getenv("RAM_FIGURES", "") of
        "" -> ok;
        File -> ok = file:write_file(File, [lists:join($\t, Columns), $\n], [append])
    end.

text(Value) when is_integer(Value) -> integer_to_list(Value);
text(Value) -> float_to_list(float(Value), [{decimals, 1}]).
