%% Every reason of the closed types in ram_error.erl has a test that provokes it: here, or in the
%% case that the table names. A reason that is added to a type fails `every_reason_has_its_test'
%% until it has one.
-module(ram_reason_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1, started/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([every_reason_has_its_test/1,
         a_node_whose_application_does_not_start_is_named/1,
         a_setting_that_the_member_refuses_is_named/1,
         a_cluster_one_of_whose_nodes_does_not_answer_runs_on_the_others/1,
         too_many_changes_of_the_cluster_are_refused_at_once/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE).

init_per_testcase(every_reason_has_its_test, Config) ->
    Config;
init_per_testcase(Case, Config) ->
    ram_case:start(Config, 3, settings(Case)).

settings(a_cluster_one_of_whose_nodes_does_not_answer_runs_on_the_others) ->
    [{call_timeout_ms, 1000}];
settings(_Case) ->
    [].

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

%% Raised by operations on keys.
provoked(failure) ->
    [{noproc, ram_cluster_SUITE, before_a_cluster_is_started_requests_raise_noproc},
     {timeout, ram_failure_SUITE,
      a_minority_times_out_the_majority_goes_on_and_all_agree_after_healing},
     {overloaded, ram_overload_SUITE, beyond_its_queue_a_leader_refuses_at_once_and_for_certain},
     {value_too_large, ram_SUITE, a_value_over_the_limit_is_refused_with_both_sizes},
     {key_too_large, ram_SUITE, a_key_over_the_limit_is_refused_with_the_limit},
     {batch_too_large, ram_batch_SUITE, a_batch_over_the_limit_is_refused_with_the_limit},
     {unreadable_value, ram_values_SUITE,
      a_value_of_a_newer_otp_is_kept_for_those_who_can_read_it},
     {refused, ram_outcome_SUITE, outcome_tells_what_certainly_did_not_happen_from_the_rest}
     | provoked_by_writes() ++ provoked_by_scans()];
%% Returned by operations on the cluster.
provoked(cluster_error) ->
    [{unreachable, ram_cluster_SUITE,
      start_cluster_with_a_node_that_is_not_there_names_it_and_leaves_nothing},
     {not_started, ?MODULE, a_node_whose_application_does_not_start_is_named},
     {already_clustered, ram_cluster_SUITE, a_member_of_another_cluster_is_left_alone},
     {storage_mismatch, ram_durability_SUITE, storage_is_the_same_on_all_members},
     {majority_lost, ram_durability_SUITE, when_a_majority_lost_its_memory_the_cluster_says_so},
     {not_member, ram_cluster_SUITE, unknown_and_last_members_cannot_be_removed},
     {last_member, ram_cluster_SUITE, unknown_and_last_members_cannot_be_removed},
     {not_reached, ram_member_SUITE,
      a_node_that_cannot_be_reached_replaces_none_and_the_others_serve_on},
     {not_caught_up, ram_member_SUITE, a_removal_ends_the_addition_of_a_node_that_catches_up},
     {not_erased, ram_folder_SUITE,
      what_could_not_be_deleted_is_said_and_is_not_back_after_a_restart},
     {timeout, ram_backup_SUITE, without_a_majority_a_backup_times_out_and_leaves_nothing},
     {running_on, ?MODULE, a_cluster_one_of_whose_nodes_does_not_answer_runs_on_the_others},
     {bad_config, ?MODULE, a_setting_that_the_member_refuses_is_named},
     {failed, ram_cluster_SUITE, start_cluster_with_a_node_that_cannot_start_undoes_the_others},
     {file, ram_backup_SUITE, a_file_that_exists_is_not_overwritten},
     {not_empty, ram_backup_SUITE, a_cluster_that_is_not_empty_is_left_alone},
     {partly, ram_backup_SUITE, a_restore_that_lost_the_majority_tells_how_far_it_came},
     {value_too_large, ram_backup_SUITE, a_value_above_the_limit_of_the_cluster_refuses_the_file},
     {key_too_large, ram_backup_SUITE, a_key_above_the_limit_of_the_cluster_refuses_the_file},
     {overloaded, ?MODULE, too_many_changes_of_the_cluster_are_refused_at_once},
     {noproc, ram_cluster_SUITE, before_a_cluster_is_started_requests_raise_noproc}].

provoked_by_writes() ->
    [{unreadable_result, ram_write_SUITE,
      a_result_of_a_newer_otp_tells_that_the_write_is_done},
     {no_table, ram_tables_SUITE, a_table_that_is_not_there_is_named},
     {too_many_tables, ram_tables_SUITE, a_table_beyond_the_limit_is_refused},
     {not_an_integer, ram_modify_SUITE, what_is_no_integer_is_not_counted},
     {results_too_large, ram_txn_SUITE, results_beyond_the_limit_are_refused},
     {compared_too_large, ram_txn_SUITE, values_that_cost_too_much_to_compare_are_refused},
     {conflict, ram_modify_SUITE, update_gives_up_after_its_retries}].

provoked_by_scans() ->
    [{expired, ram_scan_limits_SUITE, a_scan_that_holds_too_much_back_expires},
     {unreadable_key, ram_scan_limits_SUITE, a_key_of_a_newer_otp_is_told_by_its_bytes},
     {ranges_too_large, ram_scan_limits_SUITE,
      a_transaction_that_reads_too_large_ranges_changes_nothing}].

every_reason_has_its_test(_Config) ->
    [begin
         Provoked = [Reason || {Reason, _, _} <- provoked(Type)],
         ?assertEqual({Type, lists:sort(ram_told:reasons(Type))}, {Type, lists:sort(Provoked)}),
         [?assertEqual({Suite, Case, Reason, true},
                       {Suite, Case, Reason, names(Suite, Case, Reason)})
          || {Reason, Suite, Case} <- provoked(Type)]
     end || Type <- [failure, cluster_error]].

%% Does the case, or a function of its suite that it calls, hold the reason?
names(Suite, Case, Reason) ->
    Functions = [{Name, atoms(Clauses)} || {function, _, Name, _, Clauses} <- forms(Suite)],
    lists:member(Reason, reached([Case], Functions, [])).

reached([], _Functions, Seen) ->
    Seen;
reached([Atom | Atoms], Functions, Seen) ->
    case lists:member(Atom, Seen) of
        true -> reached(Atoms, Functions, Seen);
        false ->
            Held = proplists:get_value(Atom, Functions, []),
            reached(Held ++ Atoms, Functions, [Atom | Seen])
    end.

atoms({atom, _, Atom}) -> [Atom];
atoms(Form) when is_tuple(Form) -> atoms(tuple_to_list(Form));
atoms([Form | Forms]) -> atoms(Form) ++ atoms(Forms);
atoms(_Other) -> [].

forms(Module) ->
    {ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(code:which(Module), [abstract_code]),
    Forms.

a_node_whose_application_does_not_start_is_named(Config) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 2, application, set_env, [ram, heartbeat_ms, never]),
    Two = ram_peers:node(Run, 2),
    ?assertMatch({error, {not_started, Two, _}},
                 ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)])).

a_setting_that_the_member_refuses_is_named(Config) ->
    Run = run(Config),
    %% TEST-NET-1, RFC 5737: no machine has this address.
    ok = ram_peers:call(Run, 2, application, set_env, [ram, listen, {"192.0.2.1", 0}]),
    ?assertMatch({error, {bad_config, <<"listen">>, _}},
                 ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)])).

a_cluster_one_of_whose_nodes_does_not_answer_runs_on_the_others(Config) ->
    Run = started(Config),
    [ram_links:hold(ram_peers:links(Run), A, B) || {A, B} <- [{1, 3}, {2, 3}, {3, 1}, {3, 2}]],
    Others = ram_peers:nodes(Run, [1, 2]),
    ?assertMatch({error, {running_on, Others, _}},
                 ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)])).

too_many_changes_of_the_cluster_are_refused_at_once(Config) ->
    Run = started(Config),
    ok = ram_peers:call(Run, 1, put, [k, v]),
    [ram_links:hold(ram_peers:links(Run), A, B) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    Rush = fun(Callers) -> ram_peers:call(Run, 1, ram_callers, rush, [Callers, remove_nobody]) end,
    %% As many as are taken: 64 under way and 64 in the queue, which may not be taken in one go.
    Missing = fun() -> 128 - maps:get(waiting, ram_peers:call(Run, 1, status, [])) end,
    ram_peers:eventually(fun() ->
                                 More = Missing(),
                                 _ = [spawn(fun() -> Rush(More) end) || More > 0],
                                 More =:= 0
                         end),
    ram_peers:eventually(fun() -> Missing() =:= 0 end),
    Told = Rush(100),
    ram_links:heal(ram_peers:links(Run)),
    Overloaded = {error, {overloaded, {ram, ram_peers:node(Run, 1)}}},
    Slow = [Us || {_, Answer, Us} <- Told, Answer =:= Overloaded, Us > 500000],
    ?assertEqual([], Slow),
    ?assertEqual(100, length([refused || {_, Answer, _} <- Told, Answer =:= Overloaded])).
