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
         too_many_changes_of_the_cluster_are_refused_at_once/1,
         every_call_is_the_top_of_what_it_raises/1,
         no_member_is_explained_by_what_this_node_lacks/1,
         each_reason_that_calls_raise_is_explained_in_both_shells/1,
         each_reason_that_calls_return_is_explained/1,
         any_other_term_is_explained_as_it_is/1]).
-export([meddle/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE, [meddle]).

init_per_testcase(Case, Config) ->
    case lists:member(Case, [every_reason_has_its_test, each_reason_that_calls_return_is_explained,
                             any_other_term_is_explained_as_it_is]) of
        true -> Config;
        false -> ram_case:start(Config, 3, settings(Case))
    end.

settings(a_cluster_one_of_whose_nodes_does_not_answer_runs_on_the_others) ->
    [{call_timeout_ms, 1000}];
settings(each_reason_that_calls_raise_is_explained_in_both_shells) ->
    [{call_timeout_ms, 1000}, {queue_requests_max, 1}, {value_bytes_max, 2000}];
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
     {unreadable_result, ram_write_SUITE,
      a_result_of_a_newer_otp_tells_that_the_write_is_done},
     {no_table, ram_write_SUITE, a_table_that_is_not_there_is_named},
     {too_many_tables, ram_write_SUITE, a_table_beyond_the_limit_is_refused},
     {not_an_integer, ram_write_SUITE, what_is_no_integer_is_not_counted},
     {results_too_large, ram_txn_SUITE, results_beyond_the_limit_are_refused},
     {conflict, ram_write_SUITE, update_gives_up_after_its_retries},
     {refused, ram_outcome_SUITE, outcome_tells_what_certainly_did_not_happen_from_the_rest}];
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

every_reason_has_its_test(_Config) ->
    [begin
         Provoked = [Reason || {Reason, _, _} <- provoked(Type)],
         ?assertEqual({Type, lists:sort(reasons(Type))}, {Type, lists:sort(Provoked)}),
         [?assertEqual({Suite, Case, Reason, true},
                       {Suite, Case, Reason, names(Suite, Case, Reason)})
          || {Reason, Suite, Case} <- provoked(Type)]
     end || Type <- [failure, cluster_error]].

%% The first word of every alternative of a type of ram_error.
reasons(Type) ->
    [{type, _, union, Alternatives}] =
        [Union || {attribute, _, type, {Name, Union, []}} <- forms(ram_error), Name =:= Type],
    [case Alternative of
         {atom, _, Reason} -> Reason;
         {type, _, tuple, [{atom, _, Reason} | _]} -> Reason
     end || Alternative <- Alternatives].

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


%%% Where it was raised, and in which words

every_call_is_the_top_of_what_it_raises(Config) ->
    Run = run(Config),
    Count = fun erlang:'-'/1,
    [begin
         {Reason, [Top | Callers], Text} = exception(Run, Function, Arguments),
         ?assertMatch({noproc, {ram, Function, Arguments, _}}, {Reason, Top}),
         ?assertMatch({ram_load, exception, 2, _}, hd(Callers)),
         ?assertEqual({Function, Text, true}, {Function, Text, holds(Text, "ram:start()")})
     end || {Function, Arguments} <-
                [{get, [k]}, {get, [k, d]}, {get, [k, d, #{}]}, {fetch, [k]},
                 {fetch, [k, #{reads => local}]}, {put, [k, v]}, {delete, [k]},
                 {put, [k, v, #{return => old}]}, {put_new, [k, v]}, {put_new, [k, v, #{}]},
                 {cas, [k, absent, v]}, {cas, [k, absent, v, #{}]}, {delete, [k, #{}]},
                 {take, [k]}, {take, [k, #{}]}, {update, [k, 1, Count, #{}]},
                 {get_and_update, [k, Count]}, {get_and_update, [k, Count, #{}]},
                 {update_counter, [k, 1]}, {update_counter, [k, 1, 0]},
                 {update_counter, [k, 1, 0, #{}]}, {txn, [[], [], []]}, {txn, [[], [], [], #{}]},
                 {put_many, [[], #{}]}, {delete_many, [[k], #{}]}, {delete_range, [a, b]},
                 {delete_range, [a, b, #{}]}, {create_table, [t, #{}]}, {drop_table, [t]},
                 {update, [k, 1, Count]}, {put_many, [[]]}, {put_many, [[{k, v}]]},
                 {delete_many, [[k]]}, {backup, ["/nowhere/f"]}, {restore, ["/nowhere/f"]},
                 {nodes, []}, {leader, []}, {add_node, [a@b]}, {remove_node, [a@b]},
                 {replace_node, [a@b, b@b]}]],
    ok = ram_peers:call(Run, 1, application, set_env, [ram, heartbeat_ms, never]),
    [begin
         {_, [Top | _], Text} = exception(Run, Function, []),
         ?assertMatch({ram, Function, [], _}, Top),
         ?assertEqual({Text, true}, {Text, holds(Text, "the setting heartbeat_ms")})
     end || Function <- [start, restart_server]].

no_member_is_explained_by_what_this_node_lacks(Config) ->
    Run = run(Config),
    Explained = fun() -> {noproc, _, Text} = exception(Run, get, [k]), Text end,
    ok = ram_peers:call(Run, 1, start, []),
    Alone = Explained(),
    ?assertEqual({Alone, true}, {Alone, holds(Alone, "ram:start_cluster(Nodes)")}),
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    %% A full disk.
    ok = ram_peers:file_limit(Run, 1, 1 bsl 20),
    Value = binary:copy(<<"v">>, 100000),
    ram_peers:eventually(fun() ->
                                 _ = ram_peers:raised(Run, 2, put, [k, Value]),
                                 #{role := Role} = ram_peers:call(Run, 1, status, []),
                                 Role =:= down
                         end),
    Down = Explained(),
    [?assertEqual({Words, Down, true}, {Words, Down, holds(Down, Words)})
     || Words <- ["File too large", "ram:restart_server()"]].

%% For each reason a call that raises it, who or what is named, and the remedy.
each_reason_that_calls_raise_is_explained_in_both_shells(Config) ->
    Run = run(Config),
    NoMember = raise(Run, {get, [k]}, noproc, ["ram", "ram:start()"]),
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    Wrong = [raise(Run, Call, badarg, Words) || {Call, Words} <- wrong()],
    Node = atom_to_list(ram_peers:node(Run, 1)),
    Sizes = [raise(Run, {put, [k, <<0:(8 * 3000)>>]}, value_too_large, ["3006", "value_bytes_max"]),
             raise(Run, {get, [<<0:(8 * 70000)>>]}, key_too_large, ["key_bytes_max", "65536"]),
             raise(Run, {put_many, [[{N, <<0:(8 * 1900)>>} || N <- lists:seq(1, 40)]]},
                   batch_too_large, ["67536", "several calls"])],
    ok = ram_peers:call(Run, 1, ram_values_SUITE, put_bytes,
                        [newer, ram_records:bytes(geo, point, true, [{x, 1}])]),
    Newer = [raise(Run, {Function, [newer | More]}, unreadable_value, ["newer", "OTP"])
             || not ram_records:available(),
                {Function, More} <- [{get, []}, {update, [1, fun erlang:'-'/1]}]],
    Taken = [raise(Run, {take, [newer]}, unreadable_result, ["newer", "the write is done"])
             || not ram_records:available()],
    ok = ram_peers:call(Run, 1, put, [text, "text"]),
    Failed = [raise(Run, {update_counter, [text, 1]}, not_an_integer, ["text", "no integer"]),
              raise(Run, {take, [k, #{table => nowhere}]}, no_table, ["nowhere", "create_table"]),
              raise(Run, {get_and_update, [k, fun ?MODULE:meddle/1, #{retries => 0}]}, conflict,
                    ["changed k", "retries"])
              | [raise_as_if(Run, As) || As <- not_raised_here()]],
    [ram_links:hold(ram_peers:links(Run), A, B) || A <- [1, 2, 3], B <- [1, 2, 3], A =/= B],
    Late = raise(Run, {put, [k, v]}, timeout, [Node, "ram:outcome/1", "quorum"]),
    Full = raise_overloaded(Run, [Node, "queue_requests_max"]),
    All = [NoMember, Late, Full] ++ Wrong ++ Sizes ++ Newer ++ Taken ++ Failed,
    Named = [Reason || {Reason, _, _, _, _} <- All],
    ?assertEqual(lists:sort([badarg | reasons(failure)] --
                                [R || ram_records:available(),
                                      R <- [unreadable_value, unreadable_result]]),
                 lists:usort(Named)),
    explained_by_elixir(All, Config).

wrong() ->
    Fun = fun() -> local end,
    [{{put, [{key, Fun}, 1]}, ["argument", "local fun"]},
     {{get, [k, d, #{raeds => local}]}, ["raeds", "reads"]},
     {{fetch, [k, #{reads => locl}]}, ["locl", "lease, quorum or local"]},
     {{fetch, [k, [reads]]}, ["[reads]", "map of options"]},
     {{update, [k, 1, Fun]}, ["fun of one argument"]},
     {{put_many, [[{a, 1}, b]]}, ["element 2", "{Key, Value}"]},
     {{put_many, [[{a, 1} | b]]}, ["improper"]},
     {{delete_many, [k]}, ["list of keys"]},
     {{start_cluster, [[]]}, ["one node"]},
     {{start_cluster, [[a@b, "c@d"]]}, ["element 2", "node names"]},
     {{start_cluster, [[a@b], #{storgae => disk}]}, ["storgae", "storage, wait_ms"]},
     {{start_cluster, [[a@b], #{storage => tape}]}, ["storage", "tape", "disk or memory"]},
     {{start_cluster, [[a@b], #{wait_ms => soon}]}, ["wait_ms", "soon", "604800000"]},
     {{stop_cluster, [a@b]}, ["list of node names"]},
     {{add_node, ["a@b"]}, ["node name", "is \"a@b\""]},
     {{remove_node, [7]}, ["node name"]},
     {{replace_node, [a@b, a@b]}, ["not the first one"]},
     {{replace_node, [a@b, "c@d"]}, ["node name", "is \"c@d\""]},
     {{force_recover, [#{survivors => [a@b]}]}, ["confirm => ClusterId"]},
     {{force_recover, [#{survivors => [7], confirm => <<>>}]}, ["survivors", "element 1"]},
     {{force_recover, [#{survivors => [a@b], confirm => 7}]}, ["confirm", "ram:status()"]},
     {{backup, [7]}, ["file name", "7"]},
     {{restore, [<<255, 254>>]}, ["file name", "Unicode"]}].

raise(Run, {Function, Arguments} = Call, Reason, Words) ->
    raised_as(exception(Run, Function, Arguments), Call, Reason, Words).

raised_as({Raised, [Top | _] = Stack, Text}, {Function, Arguments}, Reason, Words) ->
    %% No exception has large arguments in it: they would be copied, and logged.
    Told = case erlang:external_size(Arguments) > 4096 of
               true -> length(Arguments);
               false -> Arguments
           end,
    ?assertMatch({Reason, {ram, Function, Told, _}}, {first(Raised), Top}),
    [?assertEqual({Word, Text, true}, {Word, Text, holds(Text, Word)}) || Word <- Words],
    {Reason, Raised, Stack, Function, Words}.

first(Raised) when is_tuple(Raised) -> element(1, Raised);
first(Raised) -> Raised.

%% As long as a call waits for the others there is room for no other one.
raise_overloaded(Run, Words) ->
    _ = spawn(fun() -> ram_peers:raised(Run, 1, put, [k, v]) end),
    case exception(Run, put, [k, v]) of
        {{timeout, _}, _, _} -> raise_overloaded(Run, Words);
        Exception -> raised_as(Exception, {put, [k, v]}, overloaded, Words)
    end.

%% What only a defect raises, and what takes more than this case has.
not_raised_here() ->
    [{{refused, <<"a test">>}, {put, [k, v]}, ["a test", "report"]},
     {{too_many_tables, 1024}, {create_table, [t, #{}]}, ["1024", "ram:drop_table/1"]},
     {{results_too_large, 64}, {txn, [[], [], []]}, ["64 bytes", "fewer"]}].

raise_as_if(Run, {Reason, {Function, Arguments} = Call, Words}) ->
    raised_as(ram_peers:call(Run, 1, ram_load, exception_as_if, [Reason, Call]),
              {Function, Arguments}, first(Reason), Words).

%% @doc Changes the key under the hands of who runs it.
meddle(_Found) ->
    ok = ram:put(k, changed),
    {put, never, never}.

%% One VM for all. It runs no ram, which is what noproc says there too.
explained_by_elixir(All, Config) ->
    case os:find_executable("elixir") of
        false ->
            ct:comment("Elixir is not installed: Erlang alone");
        _ ->
            File = filename:join(ram_case:folder(Config), "exceptions"),
            ok = file:write_file(File, term_to_binary([{Reason, Stack}
                                                       || {_, Reason, Stack, _, _} <- All])),
            Ebin = filename:join(code:lib_dir(ram), "ebin"),
            {0, Output} = ram_project:outcome("elixir", ["-pa", Ebin, "-e", elixir(), File],
                                           ram_case:folder(Config), []),
            Texts = string:split(string:trim(Output), "=====", all),
            ?assertEqual(length(All) + 1, length(Texts)),
            lists:foreach(fun explained_by_elixir/1, lists:zip(All, lists:droplast(Texts)))
    end.

explained_by_elixir({{_Reason, _, _, Function, Words}, Text}) ->
    [?assertEqual({Word, Text, true}, {Word, Text, holds(Text, Word)})
     || Word <- [lists:concat([":ram.", Function]) | Words]].

%% What iex prints of an exception.
elixir() ->
    "[file] = System.argv(); "
        "for {reason, stack} <- :erlang.binary_to_term(File.read!(file)) do "
        "{error, stack} = Exception.blame(:error, reason, stack); "
        "IO.puts(Exception.format(:error, error, stack)); IO.puts(\"=====\") end".

exception(Run, Function, Arguments) ->
    ram_peers:call(Run, 1, ram_load, exception, [Function, Arguments]).

%% Whatever is printed between them.
holds(Text, Words) ->
    string:find(Text, Words) =/= nomatch.

each_reason_that_calls_return_is_explained(_Config) ->
    Returned = returned(),
    ?assertEqual(lists:sort(reasons(cluster_error)),
                 lists:usort([first(Reason) || {Reason, _} <- Returned])),
    [begin
         Text = unicode:characters_to_list(ram_error:explain(Reason)),
         ?assertEqual({Text, nomatch}, {Text, string:find(Text, "\n")}),
         [?assertEqual({Text, Word, true}, {Text, Word, holds(Text, Word)}) || Word <- Words]
     end || {Reason, Words} <- Returned].

%% Whom each names, and what is to be done.
returned() ->
    [{{unreachable, [a@b, b@b]}, ["a@b, b@b", "net_adm:ping/1"]},
     {{not_started, a@b, {ram, {{bad_config, heartbeat_ms, "must be at least 5"},
                                {ram_app, start, [normal, []]}}}},
      ["a@b", "setting heartbeat_ms", "must be at least 5"]},
     {{already_clustered, [a@b]}, ["a@b", "ram:add_node", "ram:stop_cluster"]},
     {{storage_mismatch, a@b, memory, disk}, ["a@b is stored as memory", "ask for memory"]},
     {{majority_lost, [a@b]}, ["a@b", "ram:force_recover/1"]},
     {{not_member, a@b}, ["a@b", "ram:nodes()"]},
     {{last_member, a@b}, ["a@b", "ram:stop_cluster"]},
     {{not_reached, a@b, <<"h:1">>, <<"connection refused">>},
      ["a@b", "h:1", "connection refused", "listen"]},
     {{not_caught_up, a@b, <<"h:1">>, <<"nothing new for 30 s">>},
      ["a@b", "h:1", "nothing new", "call again"]},
     {{timeout, {ram, a@b}}, ["a@b", "ram:outcome/1", "ram:status()"]},
     {{running_on, [a@b], {unreachable, [b@b]}}, ["serves on a@b", "b@b cannot be reached"]},
     {{bad_config, <<"listen">>, <<"no such address">>}, ["setting listen", "no such address"]},
     {{not_erased, a@b, <<"/f: busy">>}, ["a@b", "/f: busy", "next start"]},
     {{failed, a@b, {unreadable, <<"/f: damaged">>}}, ["a@b: /f: damaged"]},
     {{failed, a@b, {busy, starting}}, ["a@b: its member is starting", "ask again"]},
     {{failed, a@b, unnamed}, ["a@b", "connect it"]},
     {{failed, a@b, {no_answer, timeout}}, ["a@b", "call again"]},
     {{failed, a@b, {belongs_to, <<1>>}}, ["a@b", "ram:status()"]},
     {{failed, a@b, {removed, <<"a@b">>}}, ["a@b was removed", "ram:add_node"]},
     {{failed, a@b, noproc}, ["a@b: this node runs no member", "ram:start_cluster"]},
     {{file, <<"/f: the file exists">>}, ["/f: the file exists"]},
     {not_empty, ["empty", "nothing was changed"]},
     {{partly, 3, 9, {timeout, {ram, a@b}}}, ["3 of 9", "a@b", "stop_cluster"]},
     {{value_too_large, 9, 3}, ["9 bytes", "value_bytes_max", "3"]},
     {{key_too_large, 3}, ["key_bytes_max", "3"]},
     {{overloaded, {ram, a@b}}, ["a@b", "queue_requests_max"]},
     {noproc, ["ram:status()", "ram:start_cluster"]}].

any_other_term_is_explained_as_it_is(_Config) ->
    [?assertEqual(Text, unicode:characters_to_list(ram_error:explain(Term)))
     || {Term, Text} <- [{something, "something"}, {{unreachable, a}, "{unreachable,a}"},
                         {{timeout, 7}, "{timeout,7}"}, {{overloaded, {ram, [256 | a]}},
                                                         "{overloaded,{ram,[256|a]}}"}]].
