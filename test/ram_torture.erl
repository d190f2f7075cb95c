%% A torture run: a cluster, clients and receivers of watches on its nodes, faults all the while;
%% then everything is healed, every key is read on every node, and the history is checked.
%%
%% Used by `make torture' (main/0) and ram_torture_SUITE. What is decided is decided by the seed:
%% the schedule of faults and what each client asks for. What happens is not, since real nodes on a
%% real machine are never twice the same; a seed that failed fails again likely, not surely.
-module(ram_torture).

-export([run/1, check/1, summary/1, main/0]).
-export_type([options/0, result/0]).

%% `faults' are the kinds of faults; what `each_start' makes is added to the application environment
%% of a node whenever it starts.
-type options() :: #{seconds := pos_integer(), seed := integer(), nodes := pos_integer(),
                     wires := links | spaces, histories := string(), work := string(),
                     faults => [atom(), ...],
                     each_start => ram_peers:each_start()}.
-type verdict() :: linearizable | {violation, string()} | {malformed, string()}
                 | {undecided, string()} | {crashed, string()} | {not_whole, term()}
                 | too_many_unknown | too_few_operations.
-type result() :: #{options := options(), verdict := verdict(), operations := non_neg_integer(),
                    unknown := non_neg_integer(), failed := non_neg_integer(),
                    faults := ram_nemesis:report(), check := string()}.

-define(CLIENTS, 12).
%% On each node.
-define(READERS, 3).
-define(UNKNOWN_PERCENT_MAX, 5).
-define(OPERATIONS_PER_SECOND_MIN, 50).
-define(CALL_TIMEOUT_MS, 2500).
-define(END_MS, 60000).
-define(PROGRESS_MS, 10000).
%% Of a negative control.
-define(ROUND_SECONDS, 20).
%% Of a negative control: long, so that a member is back while its vote hold counts.
-define(ELECTION_MS, {300, 1000}).
%% Of one that leads where timeouts differ: a node takes seconds to start.
-define(LONG_ELECTION_MS, {1000, 3000}).
-define(SHORT_ELECTION_MS, {120, 200}).
%% Few, so that logs are purged and nodes that were away are given snapshots.
-define(SNAPSHOT_EVERY, 2000).
%% Some seconds, so that watches that were away for long begin anew.
-define(HISTORY_BYTES, 1 bsl 20).

-spec run(options()) -> result().
run(#{nodes := Count, wires := Wires, work := Work, histories := Folder} = Options) ->
    ok = filelib:ensure_path(Folder),
    %% Known before the run and not after it.
    _ = checker(),
    Env = [{call_timeout_ms, ?CALL_TIMEOUT_MS}, {snapshot_every, ?SNAPSHOT_EVERY},
           {watch_history_bytes, ?HISTORY_BYTES}],
    Each = maps:with([each_start], Options),
    Run = ram_peers:start(Count, Work, Env,
                          Each#{wires => Wires, clocks => ram_peers:has_clocks()}),
    {Faults, Ended} = try under_fire(Run, Options)
                      after ram_peers:stop(Run)
                      end,
    judged(Options, Faults, Ended).

under_fire(Run, #{seconds := Seconds, seed := Seed, nodes := Count,
                  histories := Folder} = Options) ->
    ok = ram_peers:call(Run, 1, start_cluster, [ram_peers:nodes(Run)]),
    ok = one_clock(Run),
    ok = ram_peers:call(Run, 1, ram_torture_client, prepare, [Folder, Seed]),
    From = ram_torture_client:now_ns(),
    Until = From + Seconds * 1000000000,
    Plan = #{folder => Folder, from_ns => From, until_ns => Until, seed => Seed},
    Boots = counters:new(Count, []),
    Up = fun(I) -> start_clients(Run, I, Boots, Plan) end,
    lists:foreach(Up, ram_peers:members(Run)),
    {ok, Notes} = file:open(filename:join(Folder, "faults"), [raw, append]),
    Done = counters:new(1, []),
    Note = fun(Line) -> ok = counters:add(Done, 1, 1), ok = file:write(Notes, Line) end,
    Hooks = #{now_ns => fun ram_torture_client:now_ns/0, until_ns => Until, up => Up,
              note => Note},
    Teller = spawn_link(fun() -> tell(From, Seconds, Done) end),
    Kinds = maps:get(faults, Options, ram_nemesis:kinds()),
    Schedule = ram_nemesis:schedule(Seed, Count, Seconds * 1000, Kinds),
    try
        Faults = ram_nemesis:run(Run, Schedule, Hooks),
        {Faults, finish(Run, Folder, {From, Until})}
    catch
        error:Reason:Stack -> {[], {not_whole, {Reason, Stack, states(Run)}}}
    after
        true = unlink(Teller),
        true = exit(Teller, kill),
        ok = file:close(Notes)
    end.

tell(From, Seconds, Done) ->
    receive after ?PROGRESS_MS -> ok end,
    Passed = (ram_torture_client:now_ns() - From) div 1000000000,
    io:format("torture: ~b of ~b s, ~b faults so far~n",
              [Passed, Seconds, counters:get(Done, 1)]),
    tell(From, Seconds, Done).

%% Histories are compared by the clock that all processes of a machine share: this checks that they
%% do, and that a made-up wall clock leaves it alone.
one_clock(Run) ->
    lists:foreach(fun(I) ->
                          Before = ram_torture_client:now_ns(),
                          There = ram_peers:call(Run, I, ram_torture_client, now_ns, []),
                          true = Before =< There andalso There =< ram_torture_client:now_ns()
                  end, ram_peers:members(Run)).

%% Clients of a node that was started again are other clients.
start_clients(Run, I, Boots, Plan) ->
    ok = counters:add(Boots, I, 1),
    Count = max(4, ?CLIENTS div length(ram_peers:members(Run))),
    Names = fun(Kind, Most) -> [lists:concat([node, I, ".", counters:get(Boots, I), Kind, N])
                                || N <- lists:seq(1, Most)] end,
    Log = filename:join(maps:get(folder, Plan), lists:concat([node, I, ".log"])),
    ok = ram_peers:call(Run, I, ram_torture_client, log_to, [Log]),
    Start = fun(Kind, Most, More) ->
                    ok = ram_peers:call(Run, I, ram_torture_client, start,
                                        [Names(Kind, Most), maps:merge(Plan, More)])
            end,
    Start(".", Count, #{}),
    Start(".reader", ?READERS, #{role => reader}),
    [Start("." ++ atom_to_list(Module), Most, #{role => Module, pause_ms_max => PauseMsMax})
     || {Module, Most, PauseMsMax} <- ram_torture_client:workloads()],
    ok = ram_peers:call(Run, I, ram_torture_receiver, start, [I, maps:get(folder, Plan)]).

finish(Run, Folder, {From, Until}) ->
    ok = ram_nemesis:make_whole(Run),
    All = ram_peers:members(Run),
    Idle = fun(I) -> ram_peers:call(Run, I, ram_torture_client, running, []) =:= 0 end,
    ram_peers:eventually(fun() -> lists:all(Idle, All) end, ?END_MS),
    ok = end_watches(Run, All, Folder),
    Read = fun(I) ->
                   Name = "final" ++ integer_to_list(I),
                   ok = ram_peers:call(Run, I, ram_torture_client, read_all,
                                       [Name, Folder, From, Until]),
                   exit({done, ok})
           end,
    ram_load:wait_all([spawn_monitor(fun() -> Read(I) end) || I <- All]).

%% When all receivers have heard the last write.
end_watches(Run, All, Folder) ->
    Last = ram_peers:call(Run, hd(All), ram_torture_client, mark, ["mark", Folder]),
    HasHeard = fun(I) ->
                       Seen = ram_peers:call(Run, I, ram_torture_receiver, seen, []),
                       is_integer(Seen) andalso Seen >= Last
               end,
    ram_peers:eventually(fun() -> lists:all(HasHeard, All) end, ?END_MS),
    lists:foreach(fun(I) -> ok = ram_peers:call(Run, I, ram_torture_receiver, stop, []) end, All).

states(Run) ->
    [{I, state(Run, I)} || I <- ram_peers:members(Run)].

state(Run, I) ->
    try ram_peers:call(Run, I, ram, status, [], 2000)
    catch Class:Reason -> {Class, Reason}
    end.

%%% The verdict

judged(#{histories := Folder, seconds := Seconds} = Options, Faults, Ended) ->
    Counts = #{operations := Operations} = counted(Folder),
    {Checked, Text} = check(Folder),
    Unknown = maps:get(unknown, Counts),
    Verdict = case ram_torture_client:crashes(Folder) of
                  %% It may be why a client crashed.
                  _ when Checked =:= violation -> {Checked, Text};
                  [{Client, Crash} | _] -> {crashed, Client ++ ": " ++ binary_to_list(Crash)};
                  [] when Checked =/= linearizable -> {Checked, Text};
                  [] when Ended =/= ok -> Ended;
                  [] when Unknown * 100 > Operations * ?UNKNOWN_PERCENT_MAX -> too_many_unknown;
                  [] when Operations < Seconds * ?OPERATIONS_PER_SECOND_MIN -> too_few_operations;
                  [] -> linearizable
              end,
    Counts#{options => Options, verdict => Verdict, faults => Faults, check => Text}.

%% Unknown are those that were told so, and those whose client died with its node.
counted(Folder) ->
    Files = filelib:wildcard(filename:join(Folder, "*.history")),
    [Asked, Ok, Failed] = lists:foldl(fun counted/2, [0, 0, 0], Files),
    #{operations => Asked, failed => Failed, unknown => Asked - Ok - Failed}.

counted(File, Sums) ->
    {ok, Text} = file:read_file(File),
    Count = fun(Pattern) -> length(element(2, matches(Text, Pattern))) end,
    lists:zipwith(fun(Pattern, Sum) -> Sum + Count(Pattern) end,
                  ["^i ", "^r [0-9]+ (ok|conflict)", "^r [0-9]+ failed"], Sums).

matches(Text, Pattern) ->
    case re:run(Text, Pattern, [global, multiline, {capture, first, index}]) of
        {match, Found} -> {match, Found};
        nomatch -> {match, []}
    end.

%% @doc Asks ram-check about a folder of histories; its report is written there.
-spec check(string()) -> {linearizable | violation | malformed | undecided, string()}.
check(Folder) ->
    Args = [Folder, "--report", filename:join(Folder, "report.html")],
    Port = open_port({spawn_executable, checker()},
                     [{args, Args}, exit_status, stderr_to_stdout, binary]),
    {Status, Text} = output(Port, []),
    case Status of
        0 -> {linearizable, Text};
        1 -> {violation, Text};
        3 -> {undecided, Text};
        _ -> {malformed, Text}
    end.

output(Port, Texts) ->
    receive
        {Port, {data, Text}} -> output(Port, [Text | Texts]);
        {Port, {exit_status, Status}} ->
            {Status, binary_to_list(iolist_to_binary(lists:reverse(Texts)))}
    end.

%% RAM_CHECK, else where cargo puts it: priv is a link into the root of the repository.
checker() ->
    Target = os:getenv("CARGO_TARGET_DIR", filename:join(code:priv_dir(ram), "../target")),
    Path = os:getenv("RAM_CHECK", filename:join(Target, "release/ram-check")),
    filelib:is_regular(Path) orelse
        error({no_checker, Path, "cargo build --release -p ram_check"}),
    Path.

%%% Words

%% @doc What was found, for people.
-spec summary(result()) -> iolist().
summary(#{options := Options, verdict := Verdict, operations := Operations, unknown := Unknown,
          failed := Failed, faults := Faults, check := Check}) ->
    #{seed := Seed, seconds := Seconds, nodes := Nodes, wires := Wires} = Options,
    [io_lib:format("~b nodes (~s), ~b s, seed ~b~n", [Nodes, Wires, Seconds, Seed]),
     io_lib:format("operations ~b, unknown ~b (~.2f %), refused ~b~n",
                   [Operations, Unknown, 100 * Unknown / max(1, Operations), Failed]),
     "faults: ", lists:join(", ", [tally(Kind, Faults) || Kind <- ram_nemesis:kinds()]), $\n,
     "checker: ", string:trim(Check), $\n,
     io_lib:format("verdict: ~s~n", [word(Verdict)])].

again(#{seed := Seed, seconds := Seconds, nodes := Nodes, wires := Wires} = Options, More) ->
    Kinds = [atom_to_list(Kind) || Kind <- maps:get(faults, Options, [])],
    Faults = [[" FAULTS=", lists:join($,, Kinds)] || Kinds =/= []],
    io:format("again: make torture SECONDS=~b SEED=~b NODES=~b NET=~s~s~s~n",
              [Seconds, Seed, Nodes, Wires, Faults, More]).

tally(Kind, Faults) ->
    Done = length([K || {K, _, _, done} <- Faults, K =:= Kind]),
    case [K || {K, _, _, unavailable} <- Faults, K =:= Kind] of
        [] -> io_lib:format("~s ~b", [Kind, Done]);
        Left -> io_lib:format("~s ~b (~b left out)", [Kind, Done, length(Left)])
    end.

word({Verdict, _}) when is_atom(Verdict), Verdict =/= crashed, Verdict =/= not_whole ->
    atom_to_list(Verdict);
word({Verdict, Why}) when is_list(Why) ->
    io_lib:format("~s~n~ts", [Verdict, Why]);
word(Verdict) ->
    io_lib:format("~0p", [Verdict]).

%%% The command

%% @doc erl -s ram_torture main -extra SECONDS SEED NODES NET FAULTS HISTORIES WORK [SABOTAGE]
%% FAULTS are kinds with commas between, or all.
-spec main() -> no_return().
main() ->
    [Seconds, Seed, Nodes, Net, Faults, Histories, Work | Sabotage] = init:get_plain_arguments(),
    Options0 = #{seconds => list_to_integer(Seconds), seed => list_to_integer(Seed),
                 nodes => list_to_integer(Nodes), wires => wires(Net), histories => Histories,
                 work => Work},
    Options = maps:merge(Options0, faults(Faults)),
    halt(case Sabotage of
             [] -> tortured(Options);
             [Name] -> caught(Name, Options, 1, ram_torture_client:now_ns())
         end).

faults("all") ->
    #{};
faults(Names) ->
    Known = [{atom_to_list(Kind), Kind} || Kind <- ram_nemesis:kinds()],
    Wanted = string:lexemes(Names, ","),
    case [Name || Name <- Wanted, not lists:keymember(Name, 1, Known)] of
        [] ->
            #{faults => [proplists:get_value(Name, Known) || Name <- Wanted]};
        Unknown ->
            io:format("torture: no such faults: ~s; there are ~s~n",
                      [lists:join(", ", Unknown), lists:join(", ", proplists:get_keys(Known))]),
            halt(2)
    end.

wires("links") ->
    links;
wires("spaces") ->
    case ram_spaces:available() of
        ok -> spaces;
        {no, Why} -> io:format("torture: ~s~n", [Why]), halt(2)
    end.

tortured(#{seconds := Seconds, wires := Wires} = Options) ->
    #{verdict := Verdict, operations := Operations, faults := Faults} = Result = run(Options),
    io:put_chars(summary(Result)),
    Name = lists:concat(["torture (", Wires, ", ", Seconds, " s): "]),
    ram_figure:told(Name ++ "operations judged", Operations, ""),
    ram_figure:told(Name ++ "faults", length(Faults), ""),
    again(Options, ""),
    case Verdict of linearizable -> 0; _ -> 1 end.

%% Of some the first leader, node 1, needs longer timeouts than the others, or than they have when
%% they start again.
timeouts("assume_own_vote_hold") ->
    fun(I, _HasData) -> differing(I =:= 1) end;
timeouts("forget_longest_vote_hold") ->
    fun(_I, HasData) -> differing(not HasData) end;
timeouts(_Name) ->
    fun(_I, _HasData) -> [{election_timeout_ms, ?ELECTION_MS}] end.

differing(AreLong) ->
    {_, Max} = ?LONG_ELECTION_MS,
    Timeouts = case AreLong of true -> ?LONG_ELECTION_MS; false -> ?SHORT_ELECTION_MS end,
    [{election_timeout_ms, Timeouts}, {call_timeout_ms, 2 * Max}].

%% A negative control: the nodes run a library with a fault built in, and a run that does not find
%% it has failed. In short rounds, so that it is known how soon it was found.
caught(Name, #{seconds := Seconds, seed := Seed, histories := Histories} = Options, Round, Begun) ->
    Folder = filename:join(Histories, "round" ++ integer_to_list(Round)),
    Result = run(Options#{seconds := ?ROUND_SECONDS, seed := Seed + Round - 1,
                          histories := Folder, each_start => timeouts(Name)}),
    Passed = (ram_torture_client:now_ns() - Begun) div 1000000000,
    case Result of
        #{verdict := {violation, _}} ->
            io:put_chars(summary(Result)),
            again(Options, " SABOTAGE=" ++ Name),
            io:format("sabotage ~s: caught after ~b s, in round ~b~n", [Name, Passed, Round]),
            ram_figure:told("control " ++ Name ++ ": caught after", Passed, "s"),
            0;
        _ when Passed < Seconds ->
            io:format("sabotage ~s: not caught in round ~b: ~s~n",
                      [Name, Round, word(maps:get(verdict, Result))]),
            caught(Name, Options, Round + 1, Begun);
        _ ->
            io:format("sabotage ~s: NOT CAUGHT in ~b s~n", [Name, Passed]),
            1
    end.
