%% Mnesia tables copied into ram (ram_mnesia): on node 1 of a cluster, which runs both.
-module(ram_mnesia_SUITE).

-include_lib("stdlib/include/assert.hrl").
-import(ram_case, [run/1]).
-import(ram_peers, [call/4]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2,
         end_per_testcase/2]).
-export([a_table_is_copied_under_its_name_and_key_and_is_read_on_every_node/1,
         records_of_one_name_in_two_tables_are_kept_apart/1,
         an_ordered_table_on_disk_is_copied_too/1,
         a_table_of_another_node_is_copied_too/1,
         the_option_entry_says_key_and_value_and_what_is_left_out/1,
         a_bag_and_what_is_no_table_are_refused_by_name/1,
         without_mnesia_it_says_so/1,
         wrong_options_are_badarg_with_an_explanation/1,
         a_large_table_goes_in_few_batches_none_of_which_is_too_large/1,
         an_entry_over_the_limit_stops_the_copy_and_is_named/1,
         a_copy_that_was_stopped_is_finished_by_another/1,
         with_a_lock_transactions_wait_and_without_one_they_do_not/1,
         what_the_fun_raises_is_raised/1]).
%% On the node.
-export([make/3, make_named/3, copy_pairs/2, copy_beside_a_writer/2, raised/1, only_even/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    ram_case:all(?MODULE, [raised, only_even]).

init_per_suite(Config) ->
    case code:which(mnesia) of
        non_existing -> {skip, "mnesia is not installed (Debian: erlang-mnesia)"};
        _ -> ram_case:start_cluster(Config, 3, [{value_bytes_max, 200000},
                                                {call_timeout_ms, 2000}])
    end.

end_per_suite(Config) ->
    ram_case:stop(Config).

init_per_testcase(without_mnesia_it_says_so, Config) ->
    Config;
init_per_testcase(_Case, Config) ->
    Folder = filename:join(ram_case:folder(Config), "mnesia"),
    ok = ram_peers:call(run(Config), 1, application, set_env, [mnesia, dir, Folder]),
    ok = ram_peers:call(run(Config), 1, mnesia, start, []),
    Config.

end_per_testcase(_Case, Config) ->
    [stopped = ram_peers:call(run(Config), I, mnesia, stop, []) || I <- [1, 2]],
    Nodes = [ram_peers:node(run(Config), I) || I <- [1, 2]],
    _ = [ram_peers:call(run(Config), I, mnesia, delete_schema, [[Node]])
         || {I, Node} <- lists:zip([1, 2], Nodes)],
    ok.

%% A table of records {Table, Key, Value}.
make(Table, Options, Entries) ->
    {atomic, ok} = mnesia:create_table(Table, [{attributes, [key, value]} | Options]),
    [ok = mnesia:dirty_write({Table, Key, Value}) || {Key, Value} <- Entries],
    ok.

made(Config, Table, Options, Entries) ->
    ok = ram_peers:call(run(Config), 1, ?MODULE, make, [Table, Options, Entries]).

copy(Config, Arguments) ->
    ram_peers:call(run(Config), 1, ram_mnesia, copy, Arguments).

a_table_is_copied_under_its_name_and_key_and_is_read_on_every_node(Config) ->
    Keys = [1, 1.0, {a, b}, "text", #{x => 1}] ++ lists:seq(2, 1500),
    made(Config, plain, [], [{Key, {value, Key}} || Key <- Keys]),
    ?assertEqual({ok, 1504}, copy(Config, [plain])),
    [?assertEqual({plain, Key, {value, Key}}, call(run(Config), I, get, [{plain, Key}]))
     || I <- [1, 2, 3], Key <- [1, 1.0, {a, b}, "text", #{x => 1}, 1500]].

records_of_one_name_in_two_tables_are_kept_apart(Config) ->
    [begin
         ok = ram_peers:call(run(Config), 1, ?MODULE, make_named, [Table, same, [{1, Table}]]),
         ?assertEqual({ok, 1}, copy(Config, [Table]))
     end || Table <- [left, right]],
    [?assertEqual({same, 1, Table}, call(run(Config), 2, get, [{Table, 1}]))
     || Table <- [left, right]].

make_named(Table, Name, Entries) ->
    {atomic, ok} = mnesia:create_table(Table, [{record_name, Name}, {attributes, [key, value]}]),
    [ok = mnesia:dirty_write(Table, {Name, Key, Value}) || {Key, Value} <- Entries],
    ok.

an_ordered_table_on_disk_is_copied_too(Config) ->
    Node = ram_peers:node(run(Config), 1),
    {atomic, ok} = ram_peers:call(run(Config), 1, mnesia, change_table_copy_type,
                                  [schema, Node, disc_copies]),
    Options = [{type, ordered_set}, {disc_copies, [Node]}],
    made(Config, ordered, Options, [{N, N} || N <- lists:seq(1, 1000)]),
    ?assertEqual({ok, 1000}, copy(Config, [ordered, #{}])),
    ?assertEqual({ordered, 1000, 1000}, call(run(Config), 2, get, [{ordered, 1000}])).

a_table_of_another_node_is_copied_too(Config) ->
    Run = run(Config),
    Two = ram_peers:node(Run, 2),
    ok = ram_peers:call(Run, 2, mnesia, start, []),
    {ok, [Two]} = ram_peers:call(Run, 1, mnesia, change_config, [extra_db_nodes, [Two]]),
    made(Config, remote, [{ram_copies, [Two]}], [{N, N} || N <- lists:seq(1, 700)]),
    ?assertEqual({ok, 700}, copy(Config, [remote])),
    ?assertEqual({remote, 700, 700}, call(Run, 3, get, [{remote, 700}])).

the_option_entry_says_key_and_value_and_what_is_left_out(Config) ->
    made(Config, pairs, [], [{N, N * N} || N <- lists:seq(1, 10)]),
    ?assertEqual({ok, 5}, ram_peers:call(run(Config), 1, ?MODULE, copy_pairs, [pairs, 5])),
    ?assertEqual(25, call(run(Config), 3, get, [{squared, 5}])),
    ?assertEqual(error, call(run(Config), 3, fetch, [{squared, 6}])).

copy_pairs(Table, Last) ->
    Entry = fun({_, N, Square}) when N =< Last -> {{squared, N}, Square};
               (_) -> skip
            end,
    ram_mnesia:copy(Table, #{entry => Entry}).

a_bag_and_what_is_no_table_are_refused_by_name(Config) ->
    made(Config, many, [{type, bag}], [{k, 1}, {k, 2}]),
    ?assertEqual({error, {bag, many}}, copy(Config, [many])),
    ?assertEqual({error, {no_table, nothing}}, copy(Config, [nothing])),
    ?assertEqual(error, call(run(Config), 1, fetch, [{many, k}])).

without_mnesia_it_says_so(Config) ->
    ?assertEqual({error, {mnesia, not_running}}, copy(Config, [plain])).

wrong_options_are_badarg_with_an_explanation(Config) ->
    [?assertEqual({badarg, Arguments, Why},
                  ram_peers:call(run(Config), 1, ?MODULE, raised, [Arguments]))
     || {Arguments, Why} <-
            [{["plain", #{}], #{1 => "must be the name of a table"}},
             {[plain, []], #{2 => "must be a map of options (entry, lock, progress), "
                                    "and is []"}},
             {[plain, #{lock => yes}], #{2 => "lock must be true or false"}},
             {[plain, #{entry => 1}], #{2 => "entry must be a fun of one argument"}},
             {[plain, #{progress => 1}], #{2 => "progress must be a fun of two arguments"}},
             {[plain, #{key => 1}], #{2 => "key is no option of this call; it knows entry, lock, "
                                           "progress"}}]].

%% What the shell would print, and the arguments of the frame at the top.
raised(Arguments) ->
    try apply(ram_mnesia, copy, Arguments)
    catch
        error:Reason:Stack ->
            [{ram_mnesia, copy, Given, _} | _] = Stack,
            {Reason, Given, maps:map(fun(_, Why) -> unicode:characters_to_list(Why) end,
                                     ram_error:format_error(Reason, Stack))}
    end.

a_large_table_goes_in_few_batches_none_of_which_is_too_large(Config) ->
    Run = run(Config),
    made(Config, large, [], [{N, binary:copy(<<N:32>>, 250)} || N <- lists:seq(1, 3000)]),
    #{applied_index := Before} = call(Run, 1, status, []),
    ?assertEqual({ok, 3000}, copy(Config, [large])),
    #{applied_index := After} = call(Run, 1, status, []),
    %% 3 MB of which 131 KB, half of the largest write, go into one entry.
    Batches = After - Before,
    ?assert(Batches >= 20 andalso Batches =< 40, Batches),
    ?assertEqual({large, 3000, binary:copy(<<3000:32>>, 250)}, call(Run, 2, get, [{large, 3000}])).

an_entry_over_the_limit_stops_the_copy_and_is_named(Config) ->
    Entries = [{N, binary:copy(<<N>>, 100)} || N <- lists:seq(1, 9)],
    made(Config, heavy, [], [{10, binary:copy(<<1>>, 300000)} | Entries]),
    {error, {stopped, Copied, Key, Why}} = copy(Config, [heavy]),
    ?assertMatch({{heavy, 10}, {value_too_large, Bytes, 200000}} when Bytes > 300000, {Key, Why}),
    ?assert(Copied < 10),
    %% A key that is too large, in one batch with others.
    Long = binary:copy(<<7>>, 65600),
    made(Config, long, [{type, ordered_set}], [{Each, 1} || Each <- [1, 2, 3, Long]]),
    ?assertMatch({error, {stopped, _, {long, Long}, {key_too_large, 65536}}}, copy(Config, [long])).

a_copy_that_was_stopped_is_finished_by_another(Config) ->
    Run = run(Config),
    made(Config, stopped, [], [{N, N} || N <- lists:seq(1, 100)]),
    [ok = ram_peers:suspend(Run, I) || I <- [2, 3]],
    Stopped = copy(Config, [stopped]),
    [ok = ram_peers:resume(Run, I) || I <- [2, 3]],
    Self = ram_peers:node(Run, 1),
    ?assertMatch({error, {stopped, 0, {stopped, _}, {timeout, {ram, Self}}}}, Stopped),
    ok = ram_peers:eventually(fun() -> call(Run, 1, put, [k, v]) =:= ok end),
    ?assertEqual({ok, 100}, copy(Config, [stopped])),
    ?assertEqual({stopped, 100, 100}, call(Run, 3, get, [{stopped, 100}])).

with_a_lock_transactions_wait_and_without_one_they_do_not(Config) ->
    Entries = [{N, binary:copy(<<N:32>>, 1000)} || N <- lists:seq(1, 200)],
    made(Config, written, [], Entries),
    [?assertEqual({{ok, 200}, Writer},
                  ram_peers:call(run(Config), 1, ?MODULE, copy_beside_a_writer, [written, Lock]))
     || {Lock, Writer} <- [{true, waits}, {false, writes}]].

%% After the first batch somebody writes in a transaction. It is waited until he waits or has done.
copy_beside_a_writer(Table, Lock) ->
    Self = self(),
    Progress = fun(_Copied, _Size) ->
                       get(writer) =:= undefined andalso put(writer, writer(Self, Table))
               end,
    Result = ram_mnesia:copy(Table, #{lock => Lock, progress => Progress}),
    {Pid, Told} = get(writer),
    receive {Pid, written} -> {Result, Told} end.

writer(Self, Table) ->
    Restarts = mnesia:system_info(transaction_restarts),
    Write = fun() -> mnesia:write({Table, 1, new}) end,
    Pid = spawn_link(fun() ->
                             {atomic, ok} = mnesia:transaction(Write),
                             Self ! {self(), written}
                     end),
    ok = ram_peers:eventually(fun() -> has_ended_or_waits(Pid, Restarts) end),
    Told = case is_process_alive(Pid) of true -> waits; false -> writes end,
    {Pid, Told}.

%% Mnesia has one that meets a lock stand in line, or begin again when the lock is free.
has_ended_or_waits(Pid, Restarts) ->
    not is_process_alive(Pid) orelse mnesia:system_info(lock_queue) =/= []
        orelse mnesia:system_info(transaction_restarts) > Restarts.

what_the_fun_raises_is_raised(Config) ->
    made(Config, odd, [], [{1, 1}]),
    Entry = fun ?MODULE:only_even/1,
    [?assertError({odd, 1},
                  ram_peers:call(run(Config), 1, ram_mnesia, copy,
                                 [odd, #{entry => Entry, lock => Lock}]))
     || Lock <- [true, false]].

only_even({_, Key, Value}) when Key rem 2 =:= 0 -> {Key, Value};
only_even({_, Key, _}) -> error({odd, Key}).
