%% Releases of a small application that uses ram, made by Mix and by rebar3 and run as a user runs
%% them: three nodes of it are processes of the operating system, restarted one at a time by SIGTERM
%% while each writes. The application (`diary' of ram_release_SUITE_data) puts a new key every few
%% milliseconds and keeps a file of what was acknowledged and of what failed.
%%
%% The nodes find each other by an epmd of this suite, and are asked from a hidden node (`control').
%% Whatever is started here ends when its standard input does, so with this VM.
-module(ram_release_SUITE).

-include_lib("stdlib/include/assert.hrl").

-compile(export_all).

-define(START_MS, 60000).
-define(TOLD_BYTES, 3000).

suite() -> [{timetrap, {minutes, 5}}].

%% The other is part of make soak.
all() ->
    [a_mix_release_is_restarted_node_by_node_and_loses_nothing
     | ram_case:amount([], [a_rebar3_release_is_restarted_node_by_node_and_loses_nothing])].

init_per_testcase(Case, Config) ->
    {Epmd, Environment} = start_epmd(),
    Logs = filename:join(ram_case:folder(Config), Case),
    ok = file:make_dir(Logs),
    [{folder, ram_project:folder(Case)}, {logs, Logs}, {epmd, Epmd}, {environment, Environment},
     {nodes, ets:new(nodes, [public])} | Config].

end_per_testcase(_Case, Config) ->
    case proplists:get_value(tc_status, Config, ok) of
        {failed, _} -> tell_logs(Config);
        _ -> ok
    end,
    _ = [stop_program(Node) || {_, Node} <- ets:tab2list(get(nodes, Config))],
    stop_program(get(epmd, Config)),
    file:del_dir_r(get(folder, Config)).

%% What the nodes of a case that failed said last.
tell_logs(Config) ->
    [begin
         {ok, Text} = file:read_file(Log),
         Last = binary:part(Text, byte_size(Text), -min(byte_size(Text), ?TOLD_BYTES)),
         io:format(user, "~ts ends with:~n~ts~n", [Log, Last])
     end || Log <- filelib:wildcard(filename:join(get(logs, Config), "node*.log"))].

a_mix_release_is_restarted_node_by_node_and_loses_nothing(Config) ->
    case os:find_executable("mix") of
        false ->
            {skip, "Elixir is not installed"};
        _ ->
            Project = project(mix_project, Config, {"path: ~p", [ram_case:root()]}),
            _ = ram_project:run("mix", ["do", "deps.get,", "release"], Project, []),
            Release = filename:join([Project, "_build", "prod", "rel", "diary"]),
            restart_each_and_check(Config, Release, "start")
    end.

a_rebar3_release_is_restarted_node_by_node_and_loses_nothing(Config) ->
    Project = project(rebar3_project, Config, {"{git, \"file:///nowhere\", {tag, \"1\"}}", []}),
    Checkouts = filename:join(Project, "_checkouts"),
    ok = file:make_dir(Checkouts),
    ok = file:make_symlink(ram_case:root(), filename:join(Checkouts, "ram")),
    _ = ram_project:run("rebar3", ["release"], Project, []),
    Release = filename:join([Project, "_build", "default", "rel", "diary"]),
    restart_each_and_check(Config, Release, "foreground").

restart_each_and_check(Config, Release, Command) ->
    Start = fun(I) -> start_node(Config, Release, Command, I) end,
    {Control, Call} = start_control(Config),
    lists:foreach(Start, [1, 2, 3]),
    [wait_until_started(Call, I) || I <- [1, 2, 3]],
    ?assert(lists:prefix(Release, Call(node_name(1), code, priv_dir, [ram]))),
    ?assertMatch(#{storage := disk}, Call(node_name(1), ram, status, [])),
    ?assertEqual([], [I || I <- [1, 2, 3], not filelib:is_dir(data_dir(Config, I))]),
    [begin
         Leader = Call(node_name(1), ram, leader, []),
         ct:log("node ~b is restarted; ~s leads", [I, Leader]),
         shut_down(Config, Call, I),
         [wait_until_it_writes(Config, Other) || Other <- [1, 2, 3] -- [I]],
         Start(I),
         wait_until_started(Call, I)
     end || I <- [1, 2, 3]],
    [wait_until_it_writes(Config, I) || I <- [1, 2, 3]],
    check_diaries(Config, Call),
    peer:stop(Control).

%% A node may have stopped after a put and before it wrote of it: more may be there than was noted.
check_diaries(Config, Call) ->
    Lines = lists:append([diary(Config, I) || I <- [1, 2, 3]]),
    ?assertEqual([], [Line || [<<"failed">> | _] = Line <- Lines]),
    Keys = [Key || [<<"put">>, Key] <- Lines],
    Found = Call(node_name(1), lists, map, [fun ram:fetch/1, Keys]),
    ?assertEqual([], [Key || {Key, Value} <- lists:zip(Keys, Found), Value =/= {ok, Key}]),
    ?assert(length(Keys) > 100, length(Keys)).

%%% The nodes

start_node(Config, Release, Command, I) ->
    Folder = filename:dirname(data_dir(Config, I)),
    ok = filelib:ensure_path(Folder),
    Environment = [{"RELEASE_NODE", atom_to_list(node_name(I))},
                   {"RELEASE_DISTRIBUTION", "name"},
                   {"RELEASE_COOKIE", "ram_test"},
                   %% What the start script writes.
                   {"RELEASE_TMP", Folder}, {"RELX_OUT_FILE_PATH", Folder},
                   {"RELX_REPLACE_OS_VARS", "true"},
                   {"DATA_DIR", data_dir(Config, I)},
                   {"NODES", lists:join(" ", [atom_to_list(node_name(N)) || N <- [1, 2, 3]])},
                   {"DIARY", diary_file(Config, I)} | get(environment, Config)],
    Script = filename:join([Release, "bin", "diary"]),
    Log = filename:join(get(logs, Config), lists:concat(["node", I, ".log"])),
    ets:insert(get(nodes, Config), {I, start_program([Script, Command], Log, Environment)}).

%% As systemd and Kubernetes stop what they run.
shut_down(Config, Call, I) ->
    Pid = Call(node_name(I), os, getpid, []),
    [{I, Program}] = ets:take(get(nodes, Config), I),
    "" = os:cmd("kill -TERM " ++ Pid),
    ?assertEqual(0, status(Program)).

%% The application has started: its first child returned, so the node serves.
wait_until_started(Call, I) ->
    Started = fun() ->
                      Running = Call(node_name(I), application, which_applications, []),
                      lists:keymember(diary, 1, Running)
              end,
    ram_peers:eventually(Started, ?START_MS).

wait_until_it_writes(Config, I) ->
    Size = filelib:file_size(diary_file(Config, I)),
    ram_peers:eventually(fun() -> filelib:file_size(diary_file(Config, I)) > Size + 1000 end,
                         ?START_MS).

data_dir(Config, I) ->
    filename:join([get(folder, Config), integer_to_list(I), "data"]).

diary_file(Config, I) ->
    filename:join(get(logs, Config), lists:concat(["diary", I])).

%% Without the last line, which may be cut.
diary(Config, I) ->
    {ok, Text} = file:read_file(diary_file(Config, I)),
    Lines = lists:droplast(binary:split(Text, <<"\n">>, [global])),
    [binary:split(Line, <<"\t">>) || Line <- Lines].

node_name(I) ->
    list_to_atom(lists:concat(["diary", os:getpid(), "_", I, "@127.0.0.1"])).

%% Hidden, so that no node takes it for one of its own.
start_control(Config) ->
    {ok, Control, _} = peer:start_link(#{name => "control" ++ os:getpid(), host => "127.0.0.1",
                                         longnames => true, connection => standard_io,
                                         env => get(environment, Config),
                                         args => ["-hidden", "-setcookie", "ram_test"]}),
    {Control, fun(Node, Module, Function, Arguments) ->
                      peer:call(Control, erpc, call, [Node, Module, Function, Arguments], 30000)
              end}.

%% On a free port, unless someone else has taken it by then; the nodes are told it in their
%% environment.
start_epmd() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Environment = [{"ERL_EPMD_PORT", integer_to_list(Port)}, {"ERL_EPMD_ADDRESS", "127.0.0.1"}],
    Epmd = start_program([os:find_executable("epmd")], "/dev/null", Environment),
    case is_epmd(Epmd, Port) of
        true -> {Epmd, Environment};
        false -> start_epmd()
    end.

is_epmd(Epmd, Port) ->
    receive {Epmd, {exit_status, _}} -> false
    after 20 ->
        case gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}], 5000) of
            {ok, Connection} -> is_epmd(Connection) orelse is_epmd(Epmd, Port);
            {error, econnrefused} -> is_epmd(Epmd, Port)
        end
    end.

%% It tells its port first when it is asked for names.
is_epmd(Connection) ->
    {ok, {_, Port}} = inet:peername(Connection),
    ok = gen_tcp:send(Connection, <<1:16, $n>>),
    Answer = gen_tcp:recv(Connection, 4, 5000),
    ok = gen_tcp:close(Connection),
    Answer =:= {ok, <<Port:32>>}.

%%% Programs that end when their standard input does

start_program(Words, Log, Environment) ->
    Script = "exec 3<&0; \"$@\" </dev/null 3<&- & program=$!; "
             "(read -r _ <&3; kill -KILL $program) & watch=$!; "
             "wait $program; status=$?; kill $watch 2>/dev/null; exit $status",
    open_port({spawn_executable, "/bin/sh"},
              [{args, ["-c", "exec >>\"$0\" 2>&1; " ++ Script, Log | Words]},
               {env, Environment}, exit_status, hide]).

status(Program) ->
    receive {Program, {exit_status, Status}} -> Status after ?START_MS -> error(still_there) end.

stop_program(Program) ->
    try port_close(Program) catch error:badarg -> true end.

project(Name, Config, Source) ->
    Project = filename:join(get(folder, Config), Name),
    Template = filename:join(proplists:get_value(data_dir, Config), Name),
    ok = ram_project:copy(Template, Project, Source),
    Project.

get(Key, Config) ->
    proplists:get_value(Key, Config).
