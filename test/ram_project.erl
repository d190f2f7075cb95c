%% Projects of others that take ram, compiled and run by processes of their own: for suites.
-module(ram_project).

-include_lib("stdlib/include/assert.hrl").

-export([folder/1, copy/3, uses_ram/3, run_rebar3/2, run_mix/2, got_what_was_put/1, with_mix/1]).
-export([run/4, outcome/4, for_cargo/0, path_without/2]).

-type environment() :: [{string(), string() | false}].

%% @doc A new folder outside of this repository, whose rebar.config and mix.exs a tool could find.
-spec folder(atom()) -> string().
folder(Name) ->
    Unique = io_lib:format("~s_~s_~b", [Name, os:getpid(), rand:uniform(1 bsl 30)]),
    Folder = lists:flatten(filename:join(os:getenv("TMPDIR", "/tmp"), Unique)),
    ok = filelib:ensure_path(Folder),
    Folder.

%% @doc A copy of the project, in which RAM_SOURCE is replaced by the formatted text.
-spec copy(Template :: string(), Project :: string(), {Format :: string(), [term()]}) -> ok.
copy(Template, Project, {Format, Arguments}) ->
    Files = [File || File <- filelib:wildcard("**", Template),
                     filelib:is_regular(filename:join(Template, File))],
    Source = io_lib:format(Format, Arguments),
    lists:foreach(fun(File) ->
        {ok, Text} = file:read_file(filename:join(Template, File)),
        To = filename:join(Project, File),
        ok = filelib:ensure_dir(To),
        ok = file:write_file(To, string:replace(Text, "RAM_SOURCE", Source))
    end, Files).

%% @doc A project `uses_ram' of ram_dependency_SUITE_data, for rebar3 or for Mix, in the folder.
-spec uses_ram(rebar3_project | mix_project, string(), {string(), [term()]}) -> string().
uses_ram(Name, Folder, Source) ->
    Template = filename:join([ram_case:root(), "test/ram_dependency_SUITE_data", Name]),
    Project = filename:join(Folder, Name),
    ok = copy(Template, Project, Source),
    Project.

%% @doc Compiles the project `uses_ram' and runs it, which puts and gets.
-spec run_rebar3(string(), environment()) -> ok.
run_rebar3(Project, Environment) ->
    _ = run("rebar3", ["compile"], Project, Environment),
    Paths = string:lexemes(run("rebar3", ["path", "--ebin"], Project, Environment), " \n"),
    Run = ["-noinput", "-pa"] ++ Paths ++ ["-eval", "uses_ram:main(), halt()."],
    got_what_was_put(run("erl", Run, Project, Environment)).

-spec run_mix(string(), environment()) -> ok.
run_mix(Project, Environment) ->
    _ = run("mix", ["deps.get"], Project, Environment),
    got_what_was_put(run("mix", ["run", "-e", "UsesRam.main()"], Project, Environment)).

%% @doc Whether that is what the program `uses_ram' says.
-spec got_what_was_put(string()) -> ok.
got_what_was_put(Output) ->
    ?assertMatch({match, _}, re:run(Output, "^got what was put$", [multiline, unicode])),
    ok.

-spec with_mix(fun(() -> Result)) -> Result | {skip, string()}.
with_mix(Test) ->
    case os:find_executable("mix") of
        false -> {skip, "Elixir is not installed"};
        _ -> Test()
    end.

%%% Programs

%% @doc What a program printed; the test fails when its status is not 0.
-spec run(string(), [string()], string(), environment()) -> string().
run(Program, Arguments, Folder, Environment) ->
    {Status, Output} = outcome(Program, Arguments, Folder, Environment),
    Status =:= 0 orelse ct:fail("~s ~0p ended with ~b:~n~ts", [Program, Arguments, Status, Output]),
    Output.

%% @doc The status that it ended with, and what it printed.
-spec outcome(string(), [string()], string(), environment()) -> {integer(), string()}.
outcome(Program, Arguments, Folder, Environment) ->
    ram_program:outcome(Program, Arguments,
                        [{cd, Folder}, {env, environment() ++ Environment}]).

environment() ->
    [{"CARGO_TERM_COLOR", "never"},
     {"MIX_ENV", "prod"},
     {"MIX_REBAR3", os:find_executable("rebar3")},
     {"REBAR_BASE_DIR", false}].

%% @doc Cargo compiles quickly rather than well, and for all clones and packages in one folder. It
%% is not that of this repository: cargo takes two copies of a crate for one and would mix up what
%% it compiled.
-spec for_cargo() -> environment().
for_cargo() ->
    [{"CARGO_TARGET_DIR", filename:join([ram_case:root(), "_build", "clones"])},
     {"CARGO_PROFILE_RELEASE_LTO", "off"},
     {"CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"},
     {"CARGO_PROFILE_RELEASE_DEBUG", "0"},
     {"CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"}].

%% @doc A PATH on which all programs of this one are but those named: links in a folder. Of two
%% programs with one name the first counts, here too.
-spec path_without([string()], string()) -> string().
path_without(Missing, Folder) ->
    ok = filelib:ensure_path(Folder),
    [_ = file:make_symlink(Program, filename:join(Folder, filename:basename(Program)))
     || In <- string:lexemes(os:getenv("PATH"), ":"),
        Program <- filelib:wildcard(filename:join(In, "*")),
        not lists:member(filename:basename(Program), Missing)],
    Folder.
