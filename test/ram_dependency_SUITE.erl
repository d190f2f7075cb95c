%% ram as others take it into their projects: rebar3 and Mix, by git and by path, and as loose
%% files.
%%
%% A small project of ram_dependency_SUITE_data is copied to a temporary folder, its RAM_SOURCE
%% replaced by where ram is, and then compiled and run by processes of their own. By git means the
%% last commit: what is not committed yet is tested by path alone.
%%
%% Rust is compiled for both clones in one folder, quickly rather than well. It is not the folder of
%% this repository: cargo takes two copies of a package for one and would mix up what it compiled.
-module(ram_dependency_SUITE).

-include_lib("stdlib/include/assert.hrl").

-compile(export_all).

%% These compile all of it anew: minutes, so they are part of make soak.
-define(BY_GIT, [a_rebar3_project_takes_ram_by_git, a_mix_project_takes_ram_by_git]).

suite() -> [{timetrap, {minutes, 10}}].

all() ->
    ram_case:amount([], ?BY_GIT) ++
        [a_rebar3_project_takes_ram_by_path,
         a_mix_project_takes_ram_by_path,
         ram_works_from_one_flat_folder].

init_per_testcase(Case, Config) ->
    Folder = filename:join(os:getenv("TMPDIR", "/tmp"),
                           io_lib:format("~s_~s_~b", [Case, os:getpid(), rand:uniform(1 bsl 30)])),
    ok = filelib:ensure_path(Folder),
    [{folder, lists:flatten(Folder)} | Config].

end_per_testcase(_Case, Config) ->
    file:del_dir_r(folder(Config)).

a_rebar3_project_takes_ram_by_git(Config) ->
    {Url, Commit} = bare_clone(Config),
    Project = project(rebar3_project, Config, {"{git, ~p, {ref, ~p}}", [Url, Commit]}),
    run_rebar3_project(Project, for_a_clone()).

%% rebar3 takes a dependency by path from the folder _checkouts, whatever its source says.
a_rebar3_project_takes_ram_by_path(Config) ->
    Project = project(rebar3_project, Config, {"{git, \"file:///nowhere\", {tag, \"1\"}}", []}),
    Checkouts = filename:join(Project, "_checkouts"),
    ok = file:make_dir(Checkouts),
    ok = file:make_symlink(root(), filename:join(Checkouts, "ram")),
    run_rebar3_project(Project, []).

a_mix_project_takes_ram_by_git(Config) ->
    with_mix(fun() ->
        {Url, Commit} = bare_clone(Config),
        Project = project(mix_project, Config, {"git: ~p, ref: ~p", [Url, Commit]}),
        run_mix_project(Project, for_a_clone())
    end).

a_mix_project_takes_ram_by_path(Config) ->
    with_mix(fun() ->
        run_mix_project(project(mix_project, Config, {"path: ~p", [root()]}), [])
    end).

ram_works_from_one_flat_folder(Config) ->
    Folder = folder(Config),
    [{ok, _} = file:copy(File, filename:join(Folder, filename:basename(File)))
     || File <- filelib:wildcard(code:lib_dir(ram) ++ "/ebin/*")
            ++ filelib:wildcard(code:priv_dir(ram) ++ "/ram_nif.so")],
    Source = filename:join([data(Config), "rebar3_project", "src", "uses_ram.erl"]),
    {ok, uses_ram} = compile:file(Source, [{outdir, Folder}]),
    Run = ["-noinput", "-pa", ".", "-eval", "uses_ram:main(), halt()."],
    got_what_was_put(run("erl", Run, Folder, [])).

%%% Projects

run_rebar3_project(Project, Environment) ->
    _ = run("rebar3", ["compile"], Project, Environment),
    Paths = string:lexemes(run("rebar3", ["path", "--ebin"], Project, []), " \n"),
    Run = ["-noinput", "-pa"] ++ Paths ++ ["-eval", "uses_ram:main(), halt()."],
    got_what_was_put(run("erl", Run, Project, [])).

run_mix_project(Project, Environment) ->
    _ = run("mix", ["deps.get"], Project, Environment),
    got_what_was_put(run("mix", ["run", "-e", "UsesRam.main()"], Project, Environment)).

with_mix(Test) ->
    case os:find_executable("mix") of
        false -> {skip, "Elixir is not installed"};
        _ -> Test()
    end.

got_what_was_put(Output) ->
    ?assertMatch({match, _}, re:run(Output, "^got what was put$", [multiline, unicode])).

%% A copy of the project, in which RAM_SOURCE is replaced.
project(Name, Config, {Format, Arguments}) ->
    Template = filename:join(data(Config), Name),
    Project = filename:join(folder(Config), Name),
    Files = [File || File <- filelib:wildcard("**", Template),
                     filelib:is_regular(filename:join(Template, File))],
    lists:foreach(fun(File) ->
        {ok, Text} = file:read_file(filename:join(Template, File)),
        To = filename:join(Project, File),
        ok = filelib:ensure_dir(To),
        Source = io_lib:format(Format, Arguments),
        ok = file:write_file(To, string:replace(Text, "RAM_SOURCE", Source))
    end, Files),
    Project.

bare_clone(Config) ->
    Folder = folder(Config),
    Bare = filename:join(Folder, "ram.git"),
    _ = run("git", ["clone", "--bare", "--quiet", root(), Bare], Folder, []),
    Commit = run("git", ["rev-parse", "HEAD"], root(), []),
    {"file://" ++ Bare, string:trim(Commit)}.

%% The folder of this repository: the one whose test/ this file was compiled from.
root() ->
    Source = proplists:get_value(source, ?MODULE:module_info(compile)),
    filename:dirname(filename:dirname(Source)).

folder(Config) -> proplists:get_value(folder, Config).

data(Config) -> proplists:get_value(data_dir, Config).

%%% Programs

%% What it printed; the test fails when its status is not 0.
run(Program, Arguments, Folder, Environment) ->
    Path = os:find_executable(Program),
    Port = open_port({spawn_executable, Path},
                     [{args, Arguments}, {cd, Folder}, {env, environment() ++ Environment},
                      binary, exit_status, stderr_to_stdout, hide]),
    {Status, Output} = collect(Port, []),
    ct:log("~s ~0p~n~ts", [Program, Arguments, Output]),
    Status =:= 0 orelse ct:fail("~s ~0p ended with ~b:~n~ts", [Program, Arguments, Status, Output]),
    unicode:characters_to_list(Output).

collect(Port, Parts) ->
    receive
        {Port, {data, Part}} -> collect(Port, [Part | Parts]);
        {Port, {exit_status, Status}} -> {Status, iolist_to_binary(lists:reverse(Parts))}
    end.

environment() ->
    [{"CARGO_TERM_COLOR", "never"},
     {"MIX_ENV", "prod"},
     {"MIX_REBAR3", os:find_executable("rebar3")}].

for_a_clone() ->
    [{"CARGO_TARGET_DIR", filename:join([root(), "_build", "clones"])},
     {"CARGO_PROFILE_RELEASE_LTO", "off"},
     {"CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"},
     {"CARGO_PROFILE_RELEASE_DEBUG", "0"},
     {"CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"}].
