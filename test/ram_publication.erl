%% What is published of ram, in a small form: a package, and the precompiled file that its map
%% names.
-module(ram_publication).

-export([load_hook/0, package/3, map/3, version/0, file/0, member/0, archive/1]).

%% @doc The modules of the hook, which are no part of the application.
-spec load_hook() -> ok.
load_hook() ->
    Files = filelib:wildcard(filename:join(ram_case:root(), "native/build/*.erl")),
    lists:foreach(fun(File) ->
        {ok, Module, Code} = compile:file(File, [binary]),
        {module, Module} = code:load_binary(Module, File, Code)
    end, Files).

%% @doc A folder with what rebar3, Mix and the hook need, and a map of the one file that is
%% published at the address.
-spec package(file:filename(), string(), binary()) -> file:filename().
package(Package, Url, Published) ->
    lists:foreach(fun(File) -> copy(File, Package) end, files()),
    ok = map(Package, Url, Published),
    Package.

%% @doc Writes the map of a package.
-spec map(file:filename(), string(), binary()) -> ok.
map(Package, Url, Published) ->
    Map = #{url => list_to_binary(Url), version => list_to_binary(version()), nif => <<"2.16">>,
            checksums => #{list_to_binary(file()) => checksum(Published)}},
    file:write_file(filename:join(Package, "native/precompiled.eterm"),
                    io_lib:format("~p.~n", [Map])).

files() ->
    Patterns = ["native/*.escript", "native/build/*.erl", "erlang/*", "lib/**", "Cargo.toml",
                "rebar.config", "mix.exs"],
    Root = ram_case:root(),
    [File || Pattern <- Patterns, File <- filelib:wildcard(Pattern, Root),
             filelib:is_regular(filename:join(Root, File))].

copy(File, Package) ->
    To = filename:join(Package, File),
    ok = filelib:ensure_dir(To),
    {ok, _} = file:copy(filename:join(ram_case:root(), File), To).

-spec file() -> string().
file() -> member() ++ ".tar.gz".

-spec member() -> string().
member() ->
    lists:flatten(io_lib:format("libram_nif-v~s-nif-2.16-~s.so", [version(), ram_triple:host()])).

-spec version() -> string().
version() ->
    {ok, [{application, ram, Keys}]} =
        file:consult(filename:join(ram_case:root(), "erlang/ram.app.src")),
    proplists:get_value(vsn, Keys).

checksum(Bytes) ->
    Digest = [io_lib:format("~2.16.0b", [Byte]) || <<Byte>> <= crypto:hash(sha256, Bytes)],
    iolist_to_binary(["sha256:", Digest]).

%% @doc A packed archive, made by hand: erl_tar would not write every name.
-spec archive([{string(), binary()}]) -> binary().
archive(Members) ->
    zlib:gzip([[member(Name, Bytes) || {Name, Bytes} <- Members], <<0:(1024 * 8)>>]).

%% Ustar, POSIX.1-1988.
member(Name, Bytes) ->
    Size = byte_size(Bytes),
    Fields = [{Name, 100}, {"0000644\0", 8}, {"0000000\0", 8}, {"0000000\0", 8},
              {io_lib:format("~11.8.0b\0", [Size]), 12}, {"00000000000\0", 12},
              {"        ", 8}, {"0", 1}, {"", 100}, {"ustar\0" "00", 8}, {"", 247}],
    Header = iolist_to_binary([padded(Text, Width) || {Text, Width} <- Fields]),
    Sum = io_lib:format("~6.8.0b\0 ", [lists:sum(binary_to_list(Header))]),
    <<Before:148/binary, _:8/binary, After/binary>> = Header,
    [Before, Sum, After, Bytes, <<0:((-Size band 511) * 8)>>].

padded(Text, Width) ->
    Bytes = iolist_to_binary(Text),
    [Bytes, <<0:((Width - byte_size(Bytes)) * 8)>>].
