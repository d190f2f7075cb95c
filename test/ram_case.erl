%% What the suites share: which of their functions are cases, and the nodes (`ram_peers') that a
%% case or a suite runs on.
%%
%% The long form of a test is run by `make soak' (RAM_SOAK is set): more rounds, more time, and the
%% figures that are promised. The short one, in `make test', has the same steps and no limit on time
%% that a busy machine could exceed.
-module(ram_case).

-export([all/1, all/2, start/2, start/3, start/4, start_cluster/2, start_cluster/3,
         start_cluster/4, stop/1, run/1, started/1, started/2, started/3, folder/1, root/0]).
-export([is_long/0, amount/2, rounds/2]).
-export([main/4]).

-type config() :: [{atom(), term()}].

-define(NO_CASES, [module_info, init_per_suite, end_per_suite]).

%% @doc The cases of a suite: whatever it exports that has one argument.
-spec all(module()) -> [atom()].
all(Suite) ->
    all(Suite, []).

%% @doc Without these, which have one argument and are no cases.
-spec all(module(), [atom()]) -> [atom()].
all(Suite, NoCases) ->
    [Case || {Case, 1} <- Suite:module_info(exports),
             not lists:member(Case, ?NO_CASES ++ NoCases)].

%% @doc For init_per_testcase and init_per_suite: so many nodes, on which ram does not run yet.
-spec start(config(), pos_integer()) -> config().
start(Config, Count) ->
    start(Config, Count, []).

-spec start(config(), pos_integer(), [{atom(), term()}]) -> config().
start(Config, Count, Env) ->
    start(Config, Count, Env, links).

%% @doc Env and Options as those of ram_peers:start/4.
start(Config, Count, Env, Options) ->
    [{run, ram_peers:start(Count, folder(Config), Env, Options)} | Config].

%% @doc As start/2, and the nodes are one cluster.
start_cluster(Config, Count) ->
    start_cluster(Config, Count, []).

start_cluster(Config, Count, Env) ->
    start_cluster(Config, Count, Env, links).

start_cluster(Config, Count, Env, Options) ->
    Started = start(Config, Count, Env, Options),
    _ = started(Started),
    Started.

%% @doc For end_per_testcase and end_per_suite.
-spec stop(config()) -> ok.
stop(Config) ->
    case run(Config) of
        undefined -> ok;
        Run -> ram_peers:stop(Run)
    end.

-spec run(config()) -> ram_peers:run() | undefined.
run(Config) ->
    proplists:get_value(run, Config).

%% @doc The nodes of the case, made one cluster.
-spec started(config()) -> ram_peers:run().
started(Config) ->
    started(Config, length(ram_peers:members(run(Config)))).

%% @doc The first nodes of the case, made one cluster; the others stay as they are.
-spec started(config(), pos_integer()) -> ram_peers:run().
started(Config, Count) ->
    Run = run(Config),
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run, lists:seq(1, Count))]),
    Run.

%% @doc As started/2; the cluster holds this entry.
-spec started(config(), pos_integer(), {term(), term()}) -> ram_peers:run().
started(Config, Count, {Key, Value}) ->
    Run = started(Config, Count),
    ok = ram_peers:call(Run, 1, put, [Key, Value]),
    Run.

%% @doc The folder that the files of a case go to; what is in it stays with the logs.
-spec folder(config()) -> string().
folder(Config) ->
    proplists:get_value(priv_dir, Config).

%% @doc The folder of this repository: the one whose test/ this file was compiled from.
-spec root() -> string().
root() ->
    Source = proplists:get_value(source, ?MODULE:module_info(compile)),
    filename:dirname(filename:dirname(Source)).

%% @doc Whether the long form of the tests is asked for.
-spec is_long() -> boolean().
is_long() ->
    os:getenv("RAM_SOAK", "") =/= "".

%% @doc How many rounds, seconds or cases a test takes, in its short form and in its long one.
-spec amount(Short, Long) -> Short | Long.
amount(Short, Long) ->
    case is_long() of
        true -> Long;
        false -> Short
    end.

%% @doc As amount/2; RAM_ROUNDS has the last word.
-spec rounds(pos_integer(), pos_integer()) -> pos_integer().
rounds(Short, Long) ->
    case os:getenv("RAM_ROUNDS", "") of
        "" -> amount(Short, Long);
        Rounds -> list_to_integer(Rounds)
    end.

%% @doc Runs a suite, or some cases of it, and ends this VM. The last line of its output has the
%% counts: `counts PASSED FAILED SKIPPED'. What could not run since something before it failed
%% counts as a failure.
-spec main(module(), [atom()], string(), string()) -> no_return().
main(Suite, Cases, Logs, Folder) ->
    Options = [{dir, Folder}, {suite, Suite}, {logdir, Logs}, {auto_compile, false},
               {abort_if_missing_suites, true}, {multiply_timetraps, amount(1, 5)}
               | [{testcase, Cases} || Cases =/= []]],
    {Passed, Failed, {Skipped, Prevented}} = ct:run_test(Options),
    Log = suite_log(Logs),
    io:put_chars([failures(Log), reasons_of_skips(Log)]),
    io:format("counts ~b ~b ~b~n", [Passed, Failed + Prevented, Skipped]),
    halt(min(1, Failed + Prevented)).

suite_log(Logs) ->
    [File] = filelib:wildcard(filename:join([Logs, "ct_run.*", "*", "run.*", "suite.log"])),
    {ok, Text} = file:read_file(File),
    Text.

%% Why in full, where Common Test's own output is cut short.
failures(Log) ->
    cases("failed", "(.*(?:\\n(?!=).*)*)", Log).

%% A line for each.
reasons_of_skips(Log) ->
    cases("skipped", "(.*)$", Log).

%% Those that ended so; `Why' is the pattern of the reason.
cases(Ended, Why, Log) ->
    Pattern = ["^=case +(\\S+)(?:\\n(?!=case).*)*?\\n=result +", Ended, ": ", Why],
    [[Ended, ": ", Case, ": ", Reason, $\n] || [Case, Reason] <- matches(Log, Pattern)].

matches(Text, Pattern) ->
    case re:run(Text, Pattern, [global, multiline, {capture, all_but_first, binary}]) of
        {match, Matches} -> Matches;
        nomatch -> []
    end.
