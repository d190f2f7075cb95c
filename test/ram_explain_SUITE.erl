%% What is raised or returned, in words: an exception is that of the user's call, and names who or
%% what is at fault and the remedy, in the shells of Erlang and Elixir. Which test provokes each
%% reason is in ram_reason_SUITE.
-module(ram_explain_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([every_call_is_the_top_of_what_it_raises/1,
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
    case lists:member(Case, [each_reason_that_calls_return_is_explained,
                             any_other_term_is_explained_as_it_is]) of
        true -> Config;
        false -> ram_case:start(Config, 3, settings(Case))
    end.

settings(each_reason_that_calls_raise_is_explained_in_both_shells) ->
    [{call_timeout_ms, 1000}, {queue_requests_max, 1}, {value_bytes_max, 2000}];
settings(_Case) ->
    [].

end_per_testcase(_Case, Config) ->
    ram_case:stop(Config).

every_call_is_the_top_of_what_it_raises(Config) ->
    Run = run(Config),
    [begin
         {Reason, [Top | Callers], Text} = exception(Run, Function, Arguments),
         ?assertMatch({noproc, {ram, Function, Arguments, _}}, {Reason, Top}),
         ?assertMatch({ram_load, exception, 2, _}, hd(Callers)),
         ?assertEqual({Function, Text, true}, {Function, Text, holds(Text, "ram:start()")})
     end || {Function, Arguments} <- calls()],
    ok = ram_peers:call(Run, 1, application, set_env, [ram, heartbeat_ms, never]),
    [begin
         {_, [Top | _], Text} = exception(Run, Function, []),
         ?assertMatch({ram, Function, [], _}, Top),
         ?assertEqual({Text, true}, {Text, holds(Text, "the setting heartbeat_ms")})
     end || Function <- [start, restart_server]].

calls() ->
    Count = fun erlang:'-'/1,
    Spec = [{'_', [], ['$_']}],
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
     {lookup, [k]}, {lookup, [k, #{}]}, {member, [k]}, {member, [k, #{}]},
     {get_many, [[k]]}, {get_many, [[k], #{}]}, {size, []}, {size, [#{}]},
     {info, [t]}, {tables, []}, {transaction, [Count]}, {transaction, [Count, #{}]},
     {foreach, [Count]}, {foreach, [Count, #{}]}, {to_list, []}, {to_list, [#{}]},
     {fold, [fun erlang:'-'/2, 0]}, {fold, [fun erlang:'-'/2, 0, #{}]}, {keys, []},
     {keys, [#{}]}, {select, [Spec]}, {select, [Spec, #{}]},
     {range, [a, b]}, {range, [a, b, #{}]}, {prefix, [""]}, {prefix, ["", #{}]},
     {first, []},
     {first, [#{}]}, {last, []}, {last, [#{}]}, {next, [k]}, {next, [k, #{}]},
     {prev, [k]}, {prev, [k, #{}]}, {watch, [all, #{}]}, {lock, [l]}, {lock, [l, #{}]},
     {lock, [l, #{wait => 1}]}, {unlock, [l, 1]}, {with_lock, [l, Count]},
     {with_lock, [l, Count, #{}]},
     {update, [k, 1, Count]}, {put_many, [[]]}, {put_many, [[{k, v}]]},
     {delete_many, [[k]]}, {backup, ["/nowhere/f"]}, {restore, ["/nowhere/f"]},
     {nodes, []}, {leader, []}, {add_node, [a@b]}, {remove_node, [a@b]},
     {replace_node, [a@b, b@b]}].

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
    ?assertEqual(lists:sort([badarg | ram_told:reasons(failure)] --
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
     {{get, [k, d, #{table => '$ram_lock'}]}, ["$ram_lock", "must not begin with $ram_"]},
     {{create_table, ['$ram_mine', #{}]}, ["must not begin with $ram_"]},
     {{lock, [{name, Fun}]}, ["argument", "local fun"]},
     {{lock, [name, #{wait => infinity}]}, ["the option wait", "infinity", "4294967295"]},
     {{lock, [name, #{wiat => 1}]}, ["wiat", "timeout, wait"]},
     {{unlock, [name, none]}, ["argument", "ram:lock/1", "none"]},
     {{with_lock, [name, Fun]}, ["fun of one argument"]},
     {{put_many, [[{a, 1}, b]]}, ["element 2", "{Key, Value}"]},
     {{put_many, [[{a, 1} | b]]}, ["improper"]}, {{delete_many, [k]}, ["list of keys"]},
     {{start_cluster, [[]]}, ["one node"]},
     {{start_cluster, [[a@b, "c@d"]]}, ["element 2", "node names"]},
     {{start_cluster, [[a@b], #{storgae => disk}]}, ["storgae", "storage, wait_ms"]},
     {{start_cluster, [[a@b], #{storage => tape}]}, ["storage", "tape", "disk or memory"]},
     {{start_cluster, [[a@b], #{wait_ms => soon}]}, ["wait_ms", "soon", "604800000"]},
     {{stop_cluster, [a@b]}, ["list of node names"]},
     {{add_node, ["a@b"]}, ["node name", "is \"a@b\""]}, {{remove_node, [7]}, ["node name"]},
     {{replace_node, [a@b, a@b]}, ["not the first one"]},
     {{replace_node, [a@b, "c@d"]}, ["node name", "is \"c@d\""]},
     {{force_recover, [#{survivors => [a@b]}]}, ["confirm => ClusterId"]},
     {{force_recover, [#{survivors => [7], confirm => <<>>}]}, ["survivors", "element 1"]},
     {{force_recover, [#{survivors => [a@b], confirm => 7}]}, ["confirm", "ram:status()"]},
     {{backup, [7]}, ["file name", "7"]}, {{restore, [<<255, 254>>]}, ["file name", "Unicode"]}].

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
     {{results_too_large, 64}, {txn, [[], [], []]}, ["64 bytes", "fewer"]},
     {{compared_too_large, 9}, {txn, [[], [], []]}, ["9 steps", "{rev, Rev}"]},
     {{ranges_too_large, 9}, {transaction, [fun erlang:'-'/1]}, ["9 entries", "limit"]},
     {{expired, 7}, {to_list, [#{}]}, ["revision 7", "begin another"]},
     {{unreadable_key, <<7>>}, {keys, []}, ["OTP", "read it there"]}].

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
    ?assertEqual(lists:sort(ram_told:reasons(cluster_error)),
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
     || {Term, Text} <- [{exists, "a table of this name is there"},
                         {no_table, "there is no table of this name"},
                         {something, "something"}, {{unreachable, a}, "{unreachable,a}"},
                         {{timeout, 7}, "{timeout,7}"}, {{overloaded, {ram, [256 | a]}},
                                                         "{overloaded,{ram,[256|a]}}"}]].
