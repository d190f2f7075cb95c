%% That a figure beyond its limit would be noticed, in both forms of a test, and that `make soak'
%% has it in its table.
-module(ram_figure_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-export([the_long_form_of_a_test_fails_beyond_the_limit/1,
         the_short_form_of_a_test_fails_beyond_ten_times_the_limit/1,
         every_figure_is_a_line_of_the_table_whether_it_holds_or_not/1,
         rounds_are_those_of_the_form_unless_somebody_says_how_many/1]).

-define(VARIABLES, ["RAM_SOAK", "RAM_FIGURES", "RAM_ROUNDS"]).

all() ->
    ram_case:all(?MODULE).

%% The VM may have been given others.
init_per_testcase(Case, Config) ->
    Kept = [{Name, os:getenv(Name, "")} || Name <- ?VARIABLES],
    [os:putenv(Name, "") || Name <- ?VARIABLES],
    File = filename:join(ram_case:folder(Config), Case),
    true = os:putenv("RAM_FIGURES", File),
    [{kept, Kept}, {file, File} | Config].

end_per_testcase(_Case, Config) ->
    [os:putenv(Name, Value) || {Name, Value} <- proplists:get_value(kept, Config)],
    ok.

the_long_form_of_a_test_fails_beyond_the_limit(_Config) ->
    true = os:putenv("RAM_SOAK", "1"),
    ?assertEqual(ok, ram_figure:at_most("gap", 300, 300, "ms")),
    ?assertError({above_its_limit, "gap", 301, 300}, ram_figure:at_most("gap", 301, 300, "ms")),
    ?assertEqual(ok, ram_figure:at_least("rate", 80, 80, "%")),
    ?assertError({below_its_limit, "rate", 79, _}, ram_figure:at_least("rate", 79, 80, "%")).

the_short_form_of_a_test_fails_beyond_ten_times_the_limit(_Config) ->
    ?assertEqual(ok, ram_figure:at_most("gap", 3000, 300, "ms")),
    ?assertError({above_its_limit, "gap", 3001, 3000}, ram_figure:at_most("gap", 3001, 300, "ms")),
    ?assertEqual(ok, ram_figure:at_least("rate", 8, 80, "%")),
    ?assertError({below_its_limit, "rate", 7.9, _}, ram_figure:at_least("rate", 7.9, 80, "%")).

every_figure_is_a_line_of_the_table_whether_it_holds_or_not(Config) ->
    ok = ram_figure:told("memory", 12, "MiB"),
    ok = ram_figure:at_most("gap", 223.94, 300, "ms"),
    ok = ram_figure:at_most("gap", 400, 300, "ms"),
    ok = ram_figure:at_least("rate", 70.0, 80, "%"),
    {ok, Text} = file:read_file(proplists:get_value(file, Config)),
    ?assertEqual(["memory\t12 MiB\t\t", "gap\t223.9 ms\tat most 300\t",
                  "gap\t400 ms\tat most 300\tMISSED", "rate\t70.0 %\tat least 80\tMISSED"],
                 string:lexemes(binary_to_list(Text), "\n")).

rounds_are_those_of_the_form_unless_somebody_says_how_many(_Config) ->
    ?assertEqual(2, ram_case:rounds(2, 8)),
    true = os:putenv("RAM_SOAK", "1"),
    ?assertEqual(8, ram_case:rounds(2, 8)),
    true = os:putenv("RAM_ROUNDS", "5"),
    ?assertEqual(5, ram_case:rounds(2, 8)).
