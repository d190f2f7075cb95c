%% ram as others take it into their projects: rebar3 and Mix, by git and by path, and as loose
%% files.
%%
%% A small project of ram_dependency_SUITE_data is copied to a temporary folder, its RAM_SOURCE
%% replaced by where ram is, and then compiled and run by processes of their own. By git means the
%% last commit: what is not committed yet is tested by path alone.
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
    [{folder, ram_project:folder(Case)} | Config].

end_per_testcase(_Case, Config) ->
    file:del_dir_r(folder(Config)).

a_rebar3_project_takes_ram_by_git(Config) ->
    {Url, Commit} = bare_clone(Config),
    Project = project(rebar3_project, Config, {"{git, ~p, {ref, ~p}}", [Url, Commit]}),
    ram_project:run_rebar3(Project, ram_project:for_cargo()).

%% rebar3 takes a dependency by path from the folder _checkouts, whatever its source says.
a_rebar3_project_takes_ram_by_path(Config) ->
    Project = project(rebar3_project, Config, {"{git, \"file:///nowhere\", {tag, \"1\"}}", []}),
    Checkouts = filename:join(Project, "_checkouts"),
    ok = file:make_dir(Checkouts),
    ok = file:make_symlink(ram_case:root(), filename:join(Checkouts, "ram")),
    ram_project:run_rebar3(Project, []).

a_mix_project_takes_ram_by_git(Config) ->
    ram_project:with_mix(fun() ->
        {Url, Commit} = bare_clone(Config),
        Project = project(mix_project, Config, {"git: ~p, ref: ~p", [Url, Commit]}),
        ram_project:run_mix(Project, ram_project:for_cargo())
    end).

a_mix_project_takes_ram_by_path(Config) ->
    ram_project:with_mix(fun() ->
        ram_project:run_mix(project(mix_project, Config, {"path: ~p", [ram_case:root()]}), [])
    end).

ram_works_from_one_flat_folder(Config) ->
    Folder = folder(Config),
    [{ok, _} = file:copy(File, filename:join(Folder, filename:basename(File)))
     || File <- filelib:wildcard(code:lib_dir(ram) ++ "/ebin/*")
            ++ filelib:wildcard(code:priv_dir(ram) ++ "/ram_nif.so")],
    Source = filename:join([data(Config), "rebar3_project", "src", "uses_ram.erl"]),
    {ok, uses_ram} = compile:file(Source, [{outdir, Folder}]),
    Run = ["-noinput", "-pa", ".", "-eval", "uses_ram:main(), halt()."],
    ram_project:got_what_was_put(ram_project:run("erl", Run, Folder, [])).

%%% Projects

%% A copy of the project, in which RAM_SOURCE is replaced.
project(Name, Config, Source) ->
    ram_project:uses_ram(Name, folder(Config), Source).

bare_clone(Config) ->
    Folder = folder(Config),
    Bare = filename:join(Folder, "ram.git"),
    Root = ram_case:root(),
    _ = ram_project:run("git", ["clone", "--bare", "--quiet", Root, Bare], Folder, []),
    Commit = ram_project:run("git", ["rev-parse", "HEAD"], Root, []),
    {"file://" ++ Bare, string:trim(Commit)}.

folder(Config) -> proplists:get_value(folder, Config).

data(Config) -> proplists:get_value(data_dir, Config).
