%% scripts/setup.sh and matrix.sh on machines that lack something: their PATH is a folder of links
%% to the programs of this one, without some, and with others in their place. Whoever runs them is
%% told to be root, and apt is a program of the test's.
-module(ram_setup_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0]).
-export([without_optional_tools_that_cannot_be_had_the_tests_go_on/1,
         without_optional_tools_an_ordinary_user_goes_on/1,
         one_optional_package_that_cannot_be_had_keeps_no_other_away/1,
         every_missing_tool_is_named_at_once/1,
         an_old_cargo_no_compiler_and_no_erlang_are_named_at_once/1,
         a_package_list_that_is_out_of_date_is_fetched_again/1,
         a_mirror_that_is_not_reached_is_no_reason_to_stop_when_nothing_else_is_missing/1,
         no_cargo_is_asked_for_where_a_precompiled_library_serves/1,
         where_no_debian_can_be_made_the_matrix_says_why_and_is_no_failure/1]).

-define(NO_PACKAGE, "echo 'E: Unable to fetch some archives'; exit 100").
-define(NO_MNESIA, "echo '27 ?mnesia'").    % what setup.sh has erl say
%% What apt would install: the programs that were left out.
-define(INSTALL, "for all in ../left-out/*; do ln -sf \"$all\" .; done").

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    ram_case:all(?MODULE).

without_optional_tools_that_cannot_be_had_the_tests_go_on(Config) ->
    {Status, Output} = setup(Config, "test", ["mix"], #{"erl" => ?NO_MNESIA}),
    ?assertEqual({0, Output}, {Status, Output}),
    mentions(Output, [[Package, " could not be installed; the tests that need it are skipped"]
                      || Package <- ["elixir", "erlang-mnesia"]]).

without_optional_tools_an_ordinary_user_goes_on(Config) ->
    Fakes = #{"id" => "echo 1000", "erl" => ?NO_MNESIA},
    {Status, Output} = setup(Config, "test", ["mix"], Fakes),
    ?assertEqual({0, Output}, {Status, Output}),
    mentions(Output, ["elixir", "erlang-mnesia", "some of the tests are skipped"]).

one_optional_package_that_cannot_be_had_keeps_no_other_away(Config) ->
    AptGet = "case \"$*\" in *elixir*) " ?NO_PACKAGE ";; install*) echo \"$*\" >>installed;; esac",
    Fakes = #{"erl" => ?NO_MNESIA, "apt-get" => AptGet},
    {Status, Output} = setup(Config, "test", ["mix"], Fakes),
    ?assertEqual({0, Output}, {Status, Output}),
    mentions(Output, ["elixir could not be installed"]),
    ?assertEqual(nomatch, string:find(Output, "erlang-mnesia could not")),
    {ok, Installed} = file:read_file(filename:join(bin(Config), "installed")),
    mentions(Installed, ["erlang-mnesia"]).

every_missing_tool_is_named_at_once(Config) ->
    Missing = ["cargo", "rebar3", "git", "cc", "mix"],
    {Status, Output} = setup(Config, "test", Missing, #{"apt-get" => ?NO_PACKAGE}),
    ?assertEqual({1, Output}, {Status, Output}),
    mentions(Output, ["cargo was not found", "rebar3", "git", "gcc", "elixir"]).

an_old_cargo_no_compiler_and_no_erlang_are_named_at_once(Config) ->
    Fakes = #{"cargo" => "echo 'cargo 1.63.0 (an old one)'", "apt-get" => ?NO_PACKAGE},
    {Status, Output} = setup(Config, "check", ["cc", "erl", "erlc", "rebar3"], Fakes),
    ?assertEqual({1, Output}, {Status, Output}),
    mentions(Output, ["cargo 1.63.0 (an old one) is too old", "rustup update", "gcc", "erlang-base",
                      "erlang-dev", "erlang-crypto", "erlang-common-test", "erlang-proper",
                      "erlang-dialyzer", "rebar3"]).

%% The first lists name what the mirror has no more.
a_package_list_that_is_out_of_date_is_fetched_again(Config) ->
    AptGet = "case $1 in update) echo >>updates;; install) test $(wc -l <updates) -ge 2 || "
        "{ echo '404 Not Found'; exit 100; }; " ?INSTALL ";; esac",
    {Status, Output} = setup(Config, "demo", ["rebar3"], #{"apt-get" => AptGet}),
    ?assertEqual({0, Output}, {Status, Output}),
    ?assertNotMatch(false, has(Config, "rebar3")).

a_mirror_that_is_not_reached_is_no_reason_to_stop_when_nothing_else_is_missing(Config) ->
    AptGet = "case $1 in update) echo 'Could not resolve'; exit 100;; *) " ?INSTALL ";; esac",
    {Status, Output} = setup(Config, "demo", ["rebar3"], #{"apt-get" => AptGet}),
    ?assertEqual({0, Output}, {Status, Output}),
    mentions(Output, ["going on with the package lists of before"]).

no_cargo_is_asked_for_where_a_precompiled_library_serves(Config) ->
    Tree = tree(Config),
    {1, Without} = setup(Config, Tree, "demo", ["cargo", "cc"], #{}),
    mentions(Without, ["cargo was not found"]),
    ok = file:write_file(filename:join(Tree, "native/precompiled.eterm"), map()),
    ?assertEqual({0, ""}, setup(Config, Tree, "demo", ["cargo", "cc"], #{})),
    {1, Tests} = setup(Config, Tree, "test", ["cargo", "cc"], #{}),
    mentions(Tests, ["cargo was not found", "gcc"]).

%% 77 is what .ci/run takes for no failure.
where_no_debian_can_be_made_the_matrix_says_why_and_is_no_failure(Config) ->
    Folder = filename:join(ram_case:folder(Config), "cache"),
    Places = [{"RAM_MATRIX_CACHE", Folder}, {"RAM_MATRIX_MIRROR", "https://localhost/"}],
    Matrix = fun(Otp, Fakes) ->
                     run(filename:join(ram_case:root(), "scripts/matrix.sh"), [Otp, "demo"],
                         machine(Config, [], Fakes), Places)
             end,
    [begin
         {Status, Output} = Matrix(Otp, Fakes),
         ?assertEqual({77, Output}, {Status, Output}),
         mentions(Output, [Why])
     end || {Otp, Fakes, Why} <-
                [{"29", #{"id" => "echo 1000"}, "only root may make a Debian"},
                 {"29", #{"uname" => "echo Darwin"}, "only Linux"},
                 {"29", #{"unshare" => "exit 1"}, "nothing can be mounted"},
                 {"24", #{}, "no Debian has OTP 24"},
                 {"29", #{"debootstrap" => "echo 'E: no network'; exit 1",
                          "unshare" => without_namespace()}, "no network"}]].

%% unshare --mount [--propagation private] COMMAND
without_namespace() ->
    "shift; if [ \"$1\" = --propagation ]; then shift 2; fi; exec \"$@\"".

%% A copy of what takes part.
tree(Config) ->
    Tree = filename:join(ram_case:folder(Config), "tree"),
    Files = ["scripts/setup.sh", "scripts/env.sh", "erlang/ram.app.src"] ++
        filelib:wildcard("native/*.escript", ram_case:root()) ++
        filelib:wildcard("native/build/*.erl", ram_case:root()),
    [begin
         To = filename:join(Tree, File),
         ok = filelib:ensure_dir(To),
         {ok, _} = file:copy(filename:join(ram_case:root(), File), To),
         ok = file:change_mode(To, 8#755)
     end || File <- Files],
    Tree.

%% For every system that ram is precompiled for.
map() ->
    {ok, [{application, ram, Keys}]} =
        file:consult(filename:join(ram_case:root(), "erlang/ram.app.src")),
    Version = proplists:get_value(vsn, Keys),
    Systems = ["unknown-linux-gnu", "unknown-linux-musl", "apple-darwin"],
    Names = [["libram_nif-v", Version, "-nif-2.16-", Cpu, "-", System, ".so.tar.gz"]
             || Cpu <- ["x86_64", "aarch64"], System <- Systems],
    Sum = <<"sha256:", (binary:copy(<<"0">>, 64))/binary>>,
    Sums = maps:from_list([{iolist_to_binary(Name), Sum} || Name <- Names]),
    io_lib:format("~p.~n", [#{url => <<"https://localhost/">>, nif => <<"2.16">>,
                              version => list_to_binary(Version), checksums => Sums}]).

mentions(Output, Words) ->
    [?assertEqual({Word, Output, true}, {Word, Output, string:find(Output, Word) =/= nomatch})
     || Word <- Words].

%%% The machine

setup(Config, What, Missing, Fakes) ->
    setup(Config, ram_case:root(), What, Missing, Fakes).

%% The status and output of Tree's setup.sh.
setup(Config, Tree, What, Missing, Fakes) ->
    Folder = machine(Config, Missing, Fakes),
    run(filename:join(Tree, "scripts/setup.sh"), [What], Folder, []).

%% The folder of its programs.
machine(Config, Missing, Fakes) ->
    Folder = bin(Config),
    LeftOut = filename:join(filename:dirname(Folder), "left-out"),
    _ = [file:del_dir_r(Old) || Old <- [Folder, LeftOut]],
    [ok = filelib:ensure_path(New) || New <- [Folder, LeftOut]],
    All = maps:merge(#{"id" => "echo 0", "apt-get" => ?NO_PACKAGE}, Fakes),
    %% Of two programs with one name the first in PATH counts, here too.
    [case {lists:member(Name, Missing), maps:is_key(Name, All)} of
         {false, false} -> file:make_symlink(Program, filename:join(Folder, Name));
         {true, _} -> file:make_symlink(Program, filename:join(LeftOut, Name));
         {false, true} -> ok
     end || Program <- programs(), Name <- [filename:basename(Program)]],
    [write_program(filename:join(Folder, Name), Text) || {Name, Text} <- maps:to_list(All)],
    Folder.

bin(Config) ->
    filename:join(ram_case:folder(Config), "bin").

%% Whether the machine has the program by now.
has(Config, Program) ->
    os:find_executable(Program, bin(Config)).

%% It runs in the folder of programs.
write_program(File, Text) ->
    ok = file:write_file(File, ["#!/bin/sh\ncd \"${0%/*}\" || exit\n", Text, "\n"]),
    ok = file:change_mode(File, 8#755).

programs() ->
    Home = filename:join(os:getenv("HOME", "/"), ".cargo/bin"),
    Folders = string:lexemes(os:getenv("PATH"), ":") ++ [Home, "/usr/sbin", "/sbin"],
    [File || Folder <- Folders, File <- filelib:wildcard(filename:join(Folder, "*"))].

%% With a HOME of its own, where no other cargo is found.
run(Script, Arguments, Folder, More) ->
    Rustup = filename:join(os:getenv("HOME", "/"), ".rustup"),
    Cargo = filename:join(os:getenv("HOME", "/"), ".cargo"),
    Environment = [{"PATH", Folder}, {"HOME", Folder},
                   {"RUSTUP_HOME", os:getenv("RUSTUP_HOME", Rustup)},
                   {"CARGO_HOME", os:getenv("CARGO_HOME", Cargo)} | More],
    ram_program:outcome("bash", [Script | Arguments], [{env, Environment}]).
