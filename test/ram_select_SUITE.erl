%% ram:select against ets, with random match specifications (ram_select_prop). A failure prints the
%% seed; RAM_SEED=<integer> runs the same cases again.
-module(ram_select_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_match_specification_selects_what_it_does_in_ets/1,
         it_does_so_where_a_scan_takes_several_pages/1]).

-define(FEW_TESTS, ram_case:amount(100, 5000)).
-define(MANY_TESTS, ram_case:amount(20, 200)).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    ram_case:start_cluster(Config, 1, [{storage, memory}], direct).

end_per_suite(Config) ->
    ram_case:stop(Config).

a_match_specification_selects_what_it_does_in_ets(Config) ->
    ram_property:check(ram_select_prop:few_entries(ram_case:run(Config)), ?FEW_TESTS).

it_does_so_where_a_scan_takes_several_pages(Config) ->
    ram_property:check(ram_select_prop:many_entries(ram_case:run(Config)), ?MANY_TESTS).
