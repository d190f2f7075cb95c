%% The calls of ram on keys and tables against a model (ram_model_prop), on three nodes. A failure
%% prints the seed; RAM_SEED=<integer> runs the same cases again.
-module(ram_model_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([one_process_sees_the_model_whatever_node_it_asks/1,
         times_to_live_are_those_of_the_model_whatever_is_done/1,
         processes_at_once_see_one_model_whatever_nodes_they_ask/1,
         updates_at_once_are_those_of_some_order/1,
         a_key_is_there_for_its_time_and_gone_soon_after/1,
         watches_are_told_what_the_model_says_and_no_more/1,
         a_key_stays_with_its_owner_and_goes_soon_after/1,
         a_lock_is_given_in_order_whoever_ends/1,
         a_name_is_of_one_who_lives_and_free_soon_after/1,
         each_wrong_option_and_argument_is_refused_and_changes_nothing/1]).

-define(SEQUENTIAL_TESTS, ram_case:amount(60, 1000)).
-define(PARALLEL_TESTS, ram_case:amount(40, 500)).
-define(EXPIRY_TESTS, ram_case:rounds(3, 60)).
-define(WATCH_TESTS, ram_case:rounds(8, 300)).
-define(OWNER_TESTS, ram_case:rounds(10, 300)).
-define(LOCK_TESTS, ram_case:rounds(15, 400)).
-define(NAME_TESTS, ram_case:rounds(20, 500)).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    ram_case:all(?MODULE).

init_per_suite(Config) ->
    Started = ram_case:start_cluster(Config, 3, [], direct),
    [ok = Property:use(ram_case:run(Started))
     || Property <- [ram_model_prop, ram_expiry_prop, ram_watch_prop, ram_owner_prop,
                         ram_lock_prop, ram_registry_prop]],
    Started.

end_per_suite(Config) ->
    ram_case:stop(Config).

one_process_sees_the_model_whatever_node_it_asks(_Config) ->
    ram_property:check(ram_model_prop:sequential(all), ?SEQUENTIAL_TESTS, [{start_size, 10}]).

times_to_live_are_those_of_the_model_whatever_is_done(_Config) ->
    ram_property:check(ram_model_prop:sequential(times), ?SEQUENTIAL_TESTS, [{start_size, 10}]).

processes_at_once_see_one_model_whatever_nodes_they_ask(_Config) ->
    ram_property:check(ram_model_prop:parallel(revisions), ?PARALLEL_TESTS).

updates_at_once_are_those_of_some_order(_Config) ->
    ram_property:check(ram_model_prop:parallel(updates), ?PARALLEL_TESTS).

a_key_is_there_for_its_time_and_gone_soon_after(_Config) ->
    ok = ram_model_prop:empty(),
    ram_property:check(ram_expiry_prop:times(), ?EXPIRY_TESTS, [{start_size, 15}, {max_size, 30},
                                                                {max_shrinks, 10}]).

watches_are_told_what_the_model_says_and_no_more(_Config) ->
    ram_property:check(ram_watch_prop:watches(), ?WATCH_TESTS, [{max_shrinks, 20}]).

a_key_stays_with_its_owner_and_goes_soon_after(_Config) ->
    ram_property:check(ram_owner_prop:owners(), ?OWNER_TESTS, [{start_size, 30}, {max_size, 80},
                                                               {max_shrinks, 10}]).

a_lock_is_given_in_order_whoever_ends(_Config) ->
    ram_property:check(ram_lock_prop:locks(), ?LOCK_TESTS, [{start_size, 30}, {max_size, 60},
                                                            {max_shrinks, 10}]).

a_name_is_of_one_who_lives_and_free_soon_after(_Config) ->
    ram_property:check(ram_registry_prop:names(), ?NAME_TESTS, [{start_size, 30}, {max_size, 80},
                                                                {max_shrinks, 10}]).

each_wrong_option_and_argument_is_refused_and_changes_nothing(_Config) ->
    [?assertEqual({Node, []}, {Node, ram_model_prop:not_refused(Node)}) || Node <- [1, 2, 3]].
