%% The precompiled library, as a package without cargo gets it: native/build.escript is run by a
%% process of its own in a folder that has what a package has, against an HTTPS server on loopback.
-module(ram_precompiled_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([suite/0, all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2,
         end_per_testcase/2]).
-export([the_right_file_is_installed_once/1,
         a_library_that_was_changed_is_put_back/1,
         a_file_in_the_cache_is_taken_without_the_network/1,
         the_cache_is_shared_with_others_of_its_kind/1,
         a_bad_file_in_the_cache_is_fetched_again/1,
         another_place_serves_in_place_of_that_of_the_package/1,
         a_proxy_is_gone_through/1,
         a_file_that_has_moved_is_followed/1,
         a_wrong_checksum_is_an_error_and_nothing_is_installed/1,
         a_file_that_was_cut_is_an_error/1,
         a_file_that_is_half_is_an_error/1,
         a_file_that_is_not_there_is_an_error/1,
         without_network_the_error_says_the_ways_out/1,
         a_bad_file_in_the_cache_is_not_used_without_network_either/1,
         a_server_that_no_authority_knows_is_not_believed/1,
         a_server_that_has_another_name_is_not_believed/1,
         behind_a_proxy_too_the_server_has_to_prove_its_name/1,
         no_name_in_the_archive_becomes_a_path/1,
         without_the_applications_of_otp_that_fetch_the_error_names_their_packages/1,
         cargo_is_asked_when_the_user_wants_it/1,
         without_a_map_cargo_is_asked/1,
         a_system_that_there_is_no_file_for_is_named/1,
         whether_cargo_is_needed_can_be_asked/1,
         a_rebar3_project_without_cargo_has_the_library_in_seconds/1,
         a_mix_project_without_cargo_has_the_library_in_seconds/1]).

suite() -> [{timetrap, {minutes, 5}}].

all() -> ram_case:all(?MODULE).

%% Where nobody loads the library it may be any bytes.
init_per_suite(Config) ->
    ok = ram_publication:load_hook(),
    Library = crypto:strong_rand_bytes(5000),
    Path = ram_project:path_without(["cargo"], filename:join(ram_case:folder(Config), "bin")),
    [{library, Library}, {published, archive([{member(), Library}])}, {path, Path} | Config].

end_per_suite(_Config) -> ok.

init_per_testcase(Case, Config) ->
    Folder = filename:join(ram_case:folder(Config), Case),
    ok = filelib:ensure_path(Folder),
    [{folder, Folder} | Config].

end_per_testcase(_Case, Config) ->
    file:del_dir_r(folder(Config)).

%%% What comes well

the_right_file_is_installed_once(Config) ->
    Server = serve(Config, published(Config)),
    Package = package(Config, Server, published(Config)),
    {0, Output} = hook(Package, Config, []),
    ?assertMatch({_, true}, {Output, has("installed the precompiled library", Output)}),
    is_installed(Package, Config),
    ?assertEqual({0, ""}, hook(Package, Config, [])),
    ?assertEqual(1, ram_https:requests(Server)).

a_library_that_was_changed_is_put_back(Config) ->
    Server = serve(Config, published(Config)),
    Package = package(Config, Server, published(Config)),
    {0, _} = hook(Package, Config, []),
    ok = file:write_file(library(Package), "of another version"),
    {0, _} = hook(Package, Config, []),
    is_installed(Package, Config),
    ?assertEqual(1, ram_https:requests(Server)).

a_file_in_the_cache_is_taken_without_the_network(Config) ->
    Package = package(Config, "https://localhost:1", published(Config)),
    in_cache(published(Config), Config),
    {0, _} = hook(Package, Config, []),
    is_installed(Package, Config).

the_cache_is_shared_with_others_of_its_kind(Config) ->
    Server = serve(Config, published(Config)),
    Package = package(Config, Server, published(Config)),
    {0, _} = hook(Package, Config, [{"RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH", false}]),
    Cache = filename:basedir(user_cache, "rustler_precompiled/precompiled_nifs",
                             #{os => linux}),
    Own = string:prefix(Cache, os:getenv("XDG_CACHE_HOME", filename:join(os:getenv("HOME"),
                                                                         ".cache"))),
    ?assertEqual({ok, published(Config)},
                 file:read_file(lists:concat([folder(Config), "/.cache", Own, "/", file()]))).

a_bad_file_in_the_cache_is_fetched_again(Config) ->
    Server = serve(Config, published(Config)),
    Package = package(Config, Server, published(Config)),
    in_cache(<<"not what it was">>, Config),
    {0, Output} = hook(Package, Config, []),
    ?assertMatch({_, true}, {Output, has("fetched again", Output)}),
    is_installed(Package, Config),
    ?assertEqual({ok, published(Config)}, file:read_file(cached(Config))).

another_place_serves_in_place_of_that_of_the_package(Config) ->
    Server = serve(Config, published(Config)),
    Package = package(Config, "https://localhost:1", published(Config)),
    {0, _} = hook(Package, Config, [{"RAM_PRECOMPILED_URL", ram_https:url(Server) ++ "/"}]),
    is_installed(Package, Config).

a_proxy_is_gone_through(Config) ->
    Server = serve(Config, published(Config)),
    Proxy = ram_https:start_proxy(),
    Package = package(Config, Server, published(Config)),
    Named = lists:concat(["http://127.0.0.1:", ram_https:port(Proxy)]),
    {0, _} = hook(Package, Config, [{"HTTPS_PROXY", Named}]),
    is_installed(Package, Config),
    ?assertEqual({1, 1}, {ram_https:requests(Proxy), ram_https:requests(Server)}).

a_file_that_has_moved_is_followed(Config) ->
    Server = serve(Config, published(Config)),
    First = ram_https:start(#{"/" ++ file() => {redirect, ram_https:url(Server) ++ "/" ++ file()}},
                            filename:join(folder(Config), "first.pem")),
    both_authorities(Config),
    Package = package(Config, First, published(Config)),
    {0, _} = hook(Package, Config, []),
    is_installed(Package, Config).

%%% What does not

a_wrong_checksum_is_an_error_and_nothing_is_installed(Config) ->
    Server = serve(Config, archive([{member(), <<"something else">>}])),
    Package = package(Config, Server, published(Config)),
    with_a_cargo(fun(Cargo) ->
        refused(Package, Config, Cargo, ["has the checksum sha256:", "is not used"])
    end, Config),
    ?assertEqual({error, enoent}, file:read_file(cached(Config))).

a_file_that_was_cut_is_an_error(Config) ->
    Published = published(Config),
    Server = ram_https:start(#{"/" ++ file() => {cut, Published}}, authority(Config)),
    refused(package(Config, Server, Published), Config, [], ["was not fetched", "broke off"]).

a_file_that_is_half_is_an_error(Config) ->
    Half = binary:part(published(Config), 0, byte_size(published(Config)) div 2),
    Server = serve(Config, Half),
    refused(package(Config, Server, published(Config)), Config, [], ["has the checksum"]).

a_file_that_is_not_there_is_an_error(Config) ->
    Server = ram_https:start(#{}, authority(Config)),
    refused(package(Config, Server, published(Config)), Config, [], ["404 Not Found"]).

without_network_the_error_says_the_ways_out(Config) ->
    _ = ram_https:start(#{}, authority(Config)),
    Package = package(Config, "https://localhost:1", published(Config)),
    refused(Package, Config, [],
            ["https://localhost:1/" ++ file() ++ " was not fetched: no connection to localhost:1",
             "RAM_BUILD=1, with Rust 1.", "which is not found", "RAM_PRECOMPILED_URL=",
             "HTTPS_PROXY=", "HEX_CACERTS_PATH=", cache(Config)]).

a_bad_file_in_the_cache_is_not_used_without_network_either(Config) ->
    _ = ram_https:start(#{}, authority(Config)),
    Package = package(Config, "https://localhost:1", published(Config)),
    in_cache(<<"not what it was">>, Config),
    refused(Package, Config, [], ["has the checksum", "was not fetched"]).

a_server_that_no_authority_knows_is_not_believed(Config) ->
    Server = serve(Config, published(Config)),
    Package = package(Config, Server, published(Config)),
    _ = ram_https:start(#{}, filename:join(folder(Config), "other.pem")),
    Other = [{"HEX_CACERTS_PATH", filename:join(folder(Config), "other.pem")}],
    refused(Package, Config, Other, ["was not fetched", "TLS"]),
    ?assertEqual(0, ram_https:requests(Server)).

a_server_that_has_another_name_is_not_believed(Config) ->
    Server = serve(Config, published(Config)),
    Url = lists:concat(["https://127.0.0.1:", ram_https:port(Server)]),
    refused(package(Config, Url, published(Config)), Config, [], ["was not fetched", "TLS"]),
    ?assertEqual(0, ram_https:requests(Server)).

behind_a_proxy_too_the_server_has_to_prove_its_name(Config) ->
    Server = serve(Config, published(Config)),
    Proxy = ram_https:start_proxy(),
    _ = ram_https:start(#{}, filename:join(folder(Config), "other.pem")),
    refused(package(Config, Server, published(Config)), Config,
            [{"HEX_CACERTS_PATH", filename:join(folder(Config), "other.pem")},
             {"https_proxy", lists:concat(["127.0.0.1:", ram_https:port(Proxy)])}],
            ["was not fetched", "TLS"]),
    ?assertEqual({1, 0}, {ram_https:requests(Proxy), ram_https:requests(Server)}).

no_name_in_the_archive_becomes_a_path(Config) ->
    Archive = archive([{"../../" ++ member(), <<"outside">>}, {"../outside", <<"outside">>}]),
    Server = serve(Config, Archive),
    refused(package(Config, Server, Archive), Config, [], ["holds no " ++ member()]),
    ?assertEqual([], [File || File <- filelib:wildcard("**", folder(Config)),
                              has("outside", File)]).

without_the_applications_of_otp_that_fetch_the_error_names_their_packages(Config) ->
    Package = package(Config, "https://localhost:1", published(Config)),
    Code = "[code:del_path(A) || A <- [inets, ssl, public_key]],"
           "[begin {ok, M, C} = compile:file(F, [binary]), code:load_binary(M, F, C) end"
           " || F <- filelib:wildcard(\"native/build/*.erl\")], halt(ram_build:main([])).",
    {1, Output} = ram_project:outcome("erl", ["-noinput", "-eval", Code], Package,
                                   environment(Config)),
    says(["apt-get install erlang-inets erlang-ssl erlang-public-key"], Output).

%%% Cargo in its place

cargo_is_asked_when_the_user_wants_it(Config) ->
    Package = package(Config, "https://localhost:1", published(Config)),
    lists:foreach(fun(Variable) ->
        {1, Output} = hook(Package, Config, [{Variable, "1"}]),
        says(["cargo was not found; install Rust (1."], Output),
        with_a_cargo(fun(Cargo) ->
            ?assertEqual({0, ""}, hook(Package, Config, [{Variable, "yes"} | Cargo])),
            is_installed(Package, Config),
            says(["build --release --locked -p ram_nif"], cargo_was_asked(Config))
        end, Config)
    end, ["RAM_BUILD", "RUSTLER_PRECOMPILED_FORCE_BUILD_ALL"]).

without_a_map_cargo_is_asked(Config) ->
    Package = package(Config, "https://localhost:1", published(Config)),
    ok = file:delete(filename:join(Package, "native/precompiled.eterm")),
    {1, Output} = hook(Package, Config, []),
    says(["cargo was not found; install Rust (1."], Output).

a_system_that_there_is_no_file_for_is_named(Config) ->
    Package = package(Config, "https://localhost:1", published(Config)),
    Target = [{"TARGET_ARCH", "riscv64gc"}],
    {1, Output} = hook(Package, Config, Target),
    says(["no precompiled library for riscv64gc-", "cargo was not found"], Output),
    with_a_cargo(fun(Cargo) ->
        {0, Built} = hook(Package, Config, Target ++ Cargo),
        says(["no precompiled library for riscv64gc-"], Built),
        says(["--target riscv64gc-"], cargo_was_asked(Config))
    end, Config).

whether_cargo_is_needed_can_be_asked(Config) ->
    Package = package(Config, "https://localhost:1", published(Config)),
    Ask = fun(Environment) ->
        ram_project:outcome("escript", ["native/build.escript", "--needs-cargo"], Package,
                         environment(Config) ++ Environment)
    end,
    ?assertEqual({1, ""}, Ask([])),
    ?assertEqual({0, ""}, Ask([{"TARGET_ARCH", "riscv64gc"}])),
    ?assertEqual({0, ""}, Ask([{"RAM_BUILD", "1"}])).

%%% Whole projects

a_rebar3_project_without_cargo_has_the_library_in_seconds(Config) ->
    Package = real_package(Config),
    Project = ram_project:uses_ram(rebar3_project, folder(Config),
                                   {"{git, \"none\", {tag, \"1\"}}", []}),
    ok = filelib:ensure_path(filename:join(Project, "_checkouts")),
    ok = file:make_symlink(Package, filename:join([Project, "_checkouts", "ram"])),
    in_seconds("a rebar3 project without cargo", fun() ->
        ram_project:run_rebar3(Project, environment(Config))
    end).

a_mix_project_without_cargo_has_the_library_in_seconds(Config) ->
    ram_project:with_mix(fun() ->
        Package = real_package(Config),
        Project = ram_project:uses_ram(mix_project, folder(Config), {"path: ~p", [Package]}),
        in_seconds("a Mix project without cargo", fun() ->
            ram_project:run_mix(Project, environment(Config))
        end)
    end).

%% Whose library can be loaded.
real_package(Config) ->
    {ok, Library} = file:read_file(filename:join(code:priv_dir(ram), "ram_nif.so")),
    Published = archive([{member(), Library}]),
    package(Config, serve(Config, Published), Published).

in_seconds(Name, Do) ->
    {Us, _} = timer:tc(Do),
    ram_figure:at_most(Name ++ ", from nothing to a put", Us / 1000000, 30, "s").

published(Config) -> proplists:get_value(published, Config).

%% The package, which says that what is published is at that place.
package(Config, Url, Published) when is_list(Url) ->
    ram_publication:package(filename:join(folder(Config), "ram of the package"), Url, Published);
package(Config, Server, Published) ->
    package(Config, ram_https:url(Server), Published).

file() -> ram_publication:file().

member() -> ram_publication:member().

archive(Members) -> ram_publication:archive(Members).

%%% Servers and folders

serve(Config, Bytes) ->
    ram_https:start(#{"/" ++ file() => {file, Bytes}}, authority(Config)).

folder(Config) -> proplists:get_value(folder, Config).

authority(Config) -> filename:join(folder(Config), "authority.pem").

%% What is trusted are both then.
both_authorities(Config) ->
    {ok, First} = file:read_file(filename:join(folder(Config), "first.pem")),
    ok = file:write_file(authority(Config), First, [append]).

cache(Config) -> filename:join(folder(Config), "cache").

cached(Config) -> filename:join(cache(Config), file()).

in_cache(Bytes, Config) ->
    ok = filelib:ensure_dir(cached(Config)),
    ok = file:write_file(cached(Config), Bytes).

library(Package) -> filename:join(Package, "priv/ram_nif.so").

is_installed(Package, Config) ->
    {ok, Installed} = file:read_file(library(Package)),
    ?assertEqual(proplists:get_value(library, Config), Installed),
    Files = filelib:wildcard("*", filename:join(Package, "priv")),
    ?assertEqual([], Files -- [".ram_nif.origin", "ram_nif.so"]).

%%% The hook

hook(Package, Config, Environment) ->
    ram_project:outcome("escript", ["native/build.escript"], Package,
                     environment(Config) ++ Environment).

environment(Config) ->
    Without = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
               "RAM_BUILD", "RUSTLER_PRECOMPILED_FORCE_BUILD_ALL", "RAM_PRECOMPILED_URL",
               "TARGET_ARCH", "TARGET_VENDOR", "TARGET_OS", "TARGET_ABI", "CARGO_BUILD_TARGET",
               "XDG_CACHE_HOME", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"],
    [{Name, false} || Name <- Without] ++
        [{"PATH", proplists:get_value(path, Config)},
         {"HOME", folder(Config)},
         {"HEX_CACERTS_PATH", authority(Config)},
         {"RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH", cache(Config)},
         {"MIX_ENV", "prod"},
         {"MIX_REBAR3", os:find_executable("rebar3")}].

%% Something named cargo is in the PATH that says it built the library of this run, and keeps what
%% it was asked.
with_a_cargo(Do, Config) ->
    Folder = filename:join(folder(Config), "cargo"),
    Cargo = filename:join(Folder, "cargo"),
    ok = filelib:ensure_dir(Cargo),
    Built = filename:join(Folder, "libram_nif.so"),
    ok = file:write_file(Built, proplists:get_value(library, Config)),
    ok = file:write_file(Cargo, ["#!/bin/sh\necho \"$@\" >>\"$0.asked\"\n"
                                 "echo '{\"filenames\":[\"", Built, "\"]}'\n"]),
    ok = file:change_mode(Cargo, 8#755),
    Do([{"PATH", Folder ++ ":" ++ proplists:get_value(path, Config)}]).

cargo_was_asked(Config) ->
    {ok, Asked} = file:read_file(filename:join(folder(Config), "cargo/cargo.asked")),
    ok = file:delete(filename:join(folder(Config), "cargo/cargo.asked")),
    binary_to_list(Asked).

refused(Package, Config, Environment, Words) ->
    {Status, Output} = hook(Package, Config, Environment),
    ?assertEqual({1, Output}, {Status, Output}),
    says(["ram: " | Words], Output),
    ?assertEqual([], filelib:wildcard("**", filename:join(Package, "priv"))),
    ?assertNot(filelib:is_regular(filename:join(folder(Config), "cargo/cargo.asked"))).

says(Words, Output) ->
    [?assertEqual({Word, Output, true}, {Word, Output, has(Word, Output)}) || Word <- Words].

has(Word, Output) ->
    string:find(Output, Word) =/= nomatch.
