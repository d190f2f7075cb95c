%% scripts/setup.sh on machines that lack something: their PATH is a folder of links to the programs
%% of this one, without some, and apt has no package to give.
-module(ram_setup_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0]).
-export([without_optional_tools_that_cannot_be_had_the_tests_go_on/1,
         every_missing_tool_is_named_at_once/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE).

without_optional_tools_that_cannot_be_had_the_tests_go_on(Config) ->
    {Status, Output} = setup(Config, ["mix"]),
    ?assertEqual({0, Output}, {Status, Output}),
    [?assertEqual({Word, Output, true}, {Word, Output, has(Word, Output)})
     || Word <- ["elixir could not be installed", "skipped"]].

every_missing_tool_is_named_at_once(Config) ->
    {Status, Output} = setup(Config, ["cargo", "rebar3", "git", "cc", "mix"]),
    ?assertEqual({1, Output}, {Status, Output}),
    [?assertEqual({Word, Output, true}, {Word, Output, has(Word, Output)})
     || Word <- ["cargo", "rebar3", "git", "gcc", "elixir"]].

has(Word, Output) ->
    string:find(Output, Word) =/= nomatch.

setup(Config, Missing) ->
    Folder = filename:join(ram_case:folder(Config), lists:concat(["bin" | Missing])),
    ok = filelib:ensure_path(Folder),
    %% Of two programs with one name the first in PATH counts, here too.
    [_ = file:make_symlink(Program, filename:join(Folder, filename:basename(Program)))
     || Program <- programs(), not lists:member(filename:basename(Program), ["apt-get" | Missing])],
    AptGet = filename:join(Folder, "apt-get"),
    ok = file:write_file(AptGet, "#!/bin/sh\necho 'E: Unable to fetch some archives'; exit 100\n"),
    ok = file:change_mode(AptGet, 8#755),
    run(Folder).

programs() ->
    Home = filename:join(os:getenv("HOME", "/"), ".cargo/bin"),
    Folders = string:lexemes(os:getenv("PATH"), ":") ++ [Home, "/usr/sbin", "/sbin"],
    [File || Folder <- Folders, File <- filelib:wildcard(filename:join(Folder, "*"))].

%% With a HOME of its own, where no other cargo is found.
run(Folder) ->
    Source = proplists:get_value(source, ?MODULE:module_info(compile)),
    Script = filename:join([filename:dirname(filename:dirname(Source)), "scripts", "setup.sh"]),
    Rustup = filename:join(os:getenv("HOME", "/"), ".rustup"),
    Environment = [{"PATH", Folder}, {"HOME", Folder},
                   {"RUSTUP_HOME", os:getenv("RUSTUP_HOME", Rustup)}],
    Port = open_port({spawn_executable, os:find_executable("bash")},
                     [{args, [Script, "test"]}, {env, Environment}, binary, exit_status,
                      stderr_to_stdout, hide]),
    collect(Port, []).

collect(Port, Parts) ->
    receive
        {Port, {data, Part}} -> collect(Port, [Part | Parts]);
        {Port, {exit_status, Status}} ->
            {Status, unicode:characters_to_list(iolist_to_binary(lists:reverse(Parts)))}
    end.
