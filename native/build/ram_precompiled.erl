%% The precompiled library: which file it is, from the cache or the network, checked, unpacked.
%%
%% The cache is the folder that rustler_precompiled has, with files of the same names. A file is
%% checked against the map before anything else is done with it, also one of the cache. What the
%% checksum of the map does not fit is not used, and nothing else is used in its place.
-module(ram_precompiled).

-export([map_of_files/0, wanted/2, install/1]).
-export_type([map_of_files/0, wanted/0]).

-type map_of_files() :: #{url := binary(), version := binary(), nif := binary(),
                          checksums := #{File :: binary() => Checksum :: binary()}}.
-type wanted() :: #{file := binary(), checksum := binary(), url := binary(), member := string(),
                    triple := string()}.

-define(MAP, "native/precompiled.eterm").
%% Beside the library: which file it was unpacked from, and the checksum of both.
-define(ORIGIN, "priv/.ram_nif.origin").
%% The modules that are needed, and Debian's packages of them.
-define(TO_CHECK, [{crypto, "erlang-crypto"}]).
-define(TO_FETCH, [{httpc, "erlang-inets"}, {ssl, "erlang-ssl"},
                   {public_key, "erlang-public-key"}]).

-spec map_of_files() -> map_of_files() | none.
map_of_files() ->
    case file:consult(?MAP) of
        {ok, [#{url := Url, version := Version, nif := Nif, checksums := Checksums} = Map]}
          when is_binary(Url), is_binary(Version), is_binary(Nif), is_map(Checksums) -> Map;
        {error, enoent} -> none;
        {ok, _} -> failed("~s is not a map of precompiled files", [?MAP]);
        {error, Reason} -> failed("~s: ~ts", [?MAP, file:format_error(Reason)])
    end.

%% @doc The file for a triple, where there is one.
-spec wanted(string(), map_of_files()) -> {ok, wanted()} | none.
wanted(Triple, #{url := Url, version := Version, nif := Nif, checksums := Checksums}) ->
    Member = lists:flatten(io_lib:format("libram_nif-v~ts-nif-~ts-~ts.so", [Version, Nif, Triple])),
    File = unicode:characters_to_binary([Member, ".tar.gz"]),
    case Checksums of
        #{File := Checksum} -> {ok, #{file => File, checksum => lower(Checksum), url => Url,
                                      member => Member, triple => Triple}};
        #{} -> none
    end.

%% @doc Puts it into its place, where it is not there already.
-spec install(wanted()) -> ok.
install(#{triple := Triple} = Wanted) ->
    need(?TO_CHECK, Wanted),
    case is_installed(Wanted) of
        true ->
            ok;
        false ->
            Library = unpack(file(Wanted), Wanted),
            ram_library:place(Library, ram_library:path(), 8#755),
            Origin = io_lib:format("~0tp.~n", [origin(Wanted, checksum(Library))]),
            ram_library:place(unicode:characters_to_binary(Origin), ?ORIGIN, 8#644),
            io:format("ram: installed the precompiled library for ~ts~n", [Triple])
    end.

is_installed(Wanted) ->
    case {file:consult(?ORIGIN), file:read_file(ram_library:path())} of
        {{ok, [Origin]}, {ok, Library}} -> Origin =:= origin(Wanted, checksum(Library));
        _ -> false
    end.

origin(#{file := File, checksum := Checksum}, OfLibrary) ->
    {precompiled, File, Checksum, OfLibrary}.

%% The one file that is looked for; whatever else is in the archive is left alone, and no name in it
%% becomes a path.
unpack(Bytes, #{file := File, member := Member}) ->
    case erl_tar:extract({binary, Bytes}, [compressed, memory]) of
        {ok, Members} ->
            case lists:keyfind(Member, 1, Members) of
                {Member, Library} -> Library;
                false -> failed("~ts holds no ~ts", [File, Member])
            end;
        {error, Reason} ->
            failed("~ts: ~ts", [File, erl_tar:format_error(Reason)])
    end.

%%% The file

file(Wanted) ->
    case from_cache(Wanted) of
        {ok, Bytes} -> Bytes;
        none -> fetched(Wanted)
    end.

from_cache(#{checksum := Checksum} = Wanted) ->
    Path = cached(Wanted),
    case file:read_file(Path) of
        {error, _} ->
            none;
        {ok, Bytes} ->
            case checksum(Bytes) of
                Checksum ->
                    {ok, Bytes};
                Other ->
                    io:format("ram: ~ts has the checksum ~ts, not ~ts: it is fetched again~n",
                              [Path, Other, Checksum]),
                    none
            end
    end.

%% A file replaces a bad one of the cache only when it is good.
fetched(#{file := File, checksum := Checksum} = Wanted) ->
    need(?TO_FETCH, Wanted),
    Url = unicode:characters_to_list([string:trim(base(Wanted), trailing, "/"), $/, File]),
    case ram_download:fetch(Url) of
        {ok, Bytes} ->
            case checksum(Bytes) of
                Checksum ->
                    to_cache(Bytes, Wanted),
                    Bytes;
                Other ->
                    refused(Wanted, "~ts has the checksum ~ts, the package says ~ts, "
                                    "so the file is not used", [Url, Other, Checksum])
            end;
        {error, Text} ->
            refused(Wanted, "~ts was not fetched: ~ts", [Url, Text])
    end.

base(#{url := Url}) ->
    case os:getenv("RAM_PRECOMPILED_URL", "") of
        "" -> Url;
        Mirror -> Mirror
    end.

%% The file is here; that it will be fetched once more some day is no reason to fail.
to_cache(Bytes, Wanted) ->
    Path = cached(Wanted),
    try
        ram_library:place(Bytes, Path, 8#644)
    catch
        throw:{failed, Text} -> io:format("ram: not kept for the next time: ~ts~n", [Text])
    end.

cached(#{file := File}) ->
    filename:join(folder(), unicode:characters_to_list(File)).

folder() ->
    case {os:getenv("RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH", ""), os:getenv("HOME", "")} of
        {"", ""} -> "_build/precompiled_nifs";
        {"", _} -> filename:basedir(user_cache, "rustler_precompiled/precompiled_nifs");
        {Folder, _} -> Folder
    end.

checksum(Bytes) ->
    Digest = crypto:hash(sha256, Bytes),
    <<"sha256:", << <<(hex(Nibble))>> || <<Nibble:4>> <= Digest >>/binary>>.

hex(Nibble) when Nibble < 10 -> $0 + Nibble;
hex(Nibble) -> $a + Nibble - 10.

lower(Checksum) ->
    unicode:characters_to_binary(string:lowercase(Checksum)).

%%% What goes wrong

%% Debian and others have a package for each application of OTP.
need(Modules, Wanted) ->
    case [Package || {Module, Package} <- Modules, code:which(Module) =:= non_existing] of
        [] -> ok;
        Missing -> refused(Wanted, "this Erlang lacks what checks and fetches it; on Debian and "
                                   "Ubuntu: apt-get install ~s", [lists:join(" ", Missing)])
    end.

-spec refused(wanted(), string(), [term()]) -> no_return().
refused(Wanted, Format, Arguments) ->
    failed("no precompiled library: " ++ Format ++ "~n~ts",
           Arguments ++ [ways_out(Wanted)]).

ways_out(#{file := File} = Wanted) ->
    Cargo = case ram_cargo:is_there() of
        true -> "which cargo is there for";
        false -> "which is not found"
    end,
    io_lib:format(
        "Ways out:~n"
        "  - build it from source: RAM_BUILD=1, with Rust ~ts or newer (~s)~n"
        "  - another place that has the file: RAM_PRECOMPILED_URL=https://HOST/FOLDER~n"
        "  - a proxy: HTTPS_PROXY=http://HOST:PORT; an authority of your own: "
        "HEX_CACERTS_PATH=FILE.pem~n"
        "  - fetch ~ts by other means, and put it into~n    ~ts",
        [ram_cargo:rust_min(), Cargo, File, filename:dirname(cached(Wanted))]).

-spec failed(string(), [term()]) -> no_return().
failed(Format, Arguments) ->
    throw({failed, io_lib:format(Format, Arguments)}).
