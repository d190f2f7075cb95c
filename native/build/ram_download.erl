%% Fetches a file over HTTPS, by OTP's own client, into memory.
%%
%% The server has to prove its name to an authority of the system, or of HEX_CACERTS_PATH.
%% HTTPS_PROXY and NO_PROXY are heeded. Says what it fetches, and every five seconds how far it is.
-module(ram_download).

-export([fetch/1, proxy_for/2]).

-define(CONNECT_MS, 15000).
%% So long nothing may come.
-define(IDLE_MS, 30000).
-define(PROGRESS_MS, 5000).
%% Ten times what a library has.
-define(BYTES_MAX, 100 bsl 20).
-define(REDIRECTS_MAX, 5).

-spec fetch(string()) -> {ok, binary()} | {error, Text :: unicode:chardata()}.
fetch(Url) ->
    io:format("ram: fetching ~ts~n", [Url]),
    _ = [{ok, _} = application:ensure_all_started(Application) || Application <- [inets, ssl]],
    try
        {ok, get(Url, ?REDIRECTS_MAX)}
    catch
        throw:{cannot, Text} -> {error, Text}
    end.

get(Url, Redirects) ->
    #{scheme := Scheme, host := Host} = parse(Url),
    ok = use_proxy(Scheme, Host),
    Options = [{autoredirect, false}, {timeout, infinity}, {connect_timeout, ?CONNECT_MS}
               | [{ssl, tls(Host)} || Scheme =:= "https"]],
    %% Some servers answer nobody who has no name.
    Request = {Url, [{"user-agent", "ram"}]},
    case httpc:request(get, Request, Options, [{sync, false}, {stream, self}]) of
        {ok, Id} -> answer(Id, Url, Redirects);
        {error, Reason} -> cannot("~ts", [describe(Reason)])
    end.

answer(Id, Url, Redirects) ->
    receive
        {http, {Id, stream_start, Headers}} ->
            Total = proplists:get_value("content-length", Headers, "?"),
            body(#{id => Id, total => Total, parts => [], bytes => 0, told_ms => now_ms()});
        {http, {Id, {{_, Status, _}, Headers, _}}} when Status div 100 =:= 3 ->
            follow(proplists:get_value("location", Headers), Url, Redirects);
        {http, {Id, {{_, Status, Phrase}, _, _}}} ->
            cannot("the answer is ~b ~ts", [Status, Phrase]);
        {http, {Id, {error, Reason}}} ->
            cannot("~ts", [describe(Reason)])
    after ?IDLE_MS ->
        cannot("no answer for ~b s", [?IDLE_MS div 1000])
    end.

%% Not by httpc: the name that the server has to prove is another one then.
follow(_, _, 0) ->
    cannot("it goes from place to place", []);
follow(undefined, _, _) ->
    cannot("it has moved, and nobody says where to", []);
follow(Location, Url, Redirects) ->
    case {parse(Url), uri_string:resolve(Location, Url)} of
        {#{scheme := "https"}, "http:" ++ _ = Plain} -> cannot("it has moved to ~ts", [Plain]);
        {_, New} when is_list(New) -> get(New, Redirects - 1);
        {_, _} -> cannot("it has moved to ~tp", [Location])
    end.

body(#{id := Id, parts := Parts, bytes := Bytes} = Download) when Bytes =< ?BYTES_MAX ->
    receive
        {http, {Id, stream, Part}} ->
            body(told(Download#{parts := [Part | Parts], bytes := Bytes + byte_size(Part)}));
        {http, {Id, stream_end, _}} ->
            iolist_to_binary(lists:reverse(Parts));
        {http, {Id, {error, Reason}}} ->
            cannot("it broke off after ~b bytes: ~ts", [Bytes, describe(Reason)])
    after ?IDLE_MS ->
        cannot("it broke off after ~b bytes: nothing came for ~b s",
               [Bytes, ?IDLE_MS div 1000])
    end;
body(_) ->
    cannot("it is larger than ~b bytes", [?BYTES_MAX]).

told(#{bytes := Bytes, total := Total, told_ms := Told} = Download) ->
    case now_ms() - Told >= ?PROGRESS_MS of
        false -> Download;
        true -> io:format("ram: ~b of ~ts bytes~n", [Bytes, Total]), Download#{told_ms := now_ms()}
    end.

now_ms() -> erlang:monotonic_time(millisecond).

parse(Url) ->
    case uri_string:parse(Url) of
        #{scheme := Scheme, host := Host} = Parts when Scheme =:= "https"; Scheme =:= "http" ->
            Parts#{host := unicode:characters_to_list(Host)};
        _ ->
            cannot("~ts is no https address", [Url])
    end.

%%% TLS

tls(Host) ->
    Match = public_key:pkix_verify_hostname_match_fun(https),
    [{verify, verify_peer}, {log_level, none}, {customize_hostname_check, [{match_fun, Match}]}
     | authorities() ++ named(Host)].

%% Through a proxy the name would be that of the proxy.
named(Host) ->
    case inet:parse_address(Host) of
        {ok, _} -> [];
        {error, einval} -> [{server_name_indication, Host}]
    end.

authorities() ->
    case os:getenv("HEX_CACERTS_PATH", "") of
        "" ->
            try
                [{cacerts, public_key:cacerts_get()}]
            catch
                error:_ -> cannot("this system has no certificates of authorities; on Debian and "
                                  "Ubuntu: apt-get install ca-certificates", [])
            end;
        File ->
            filelib:is_regular(File) orelse cannot("HEX_CACERTS_PATH: there is no ~ts", [File]),
            [{cacertfile, File}]
    end.

%%% Proxies

use_proxy(Scheme, Host) ->
    Upper = string:uppercase(Scheme) ++ "_PROXY",
    Proxy = proxy_for(Host, #{proxy => environment([Upper, Scheme ++ "_proxy"]),
                              except => environment(["NO_PROXY", "no_proxy"])}),
    Name = case Scheme of "https" -> https_proxy; "http" -> proxy end,
    httpc:set_options([{Name, Proxy} || Proxy =/= none]).

environment(Variables) ->
    hd([Value || Variable <- Variables, Value <- [os:getenv(Variable, "")], Value =/= ""] ++ [""]).

%% @doc For a host, as the two variables say it: the proxy, and that host where it is not gone
%% through.
-spec proxy_for(string(), #{proxy := string(), except := string()}) ->
    none | {{string(), inet:port_number()}, [string()]}.
proxy_for(_, #{proxy := ""}) ->
    none;
proxy_for(Host, #{proxy := Proxy, except := Except}) ->
    Excepted = [string:trim(Name, leading, "*.") || Name <- string:lexemes(Except, ", ")],
    {proxy(Proxy), [Host || lists:any(fun(Name) -> is_within(Host, Name) end, Excepted)]}.

%% What is left of `*' is nothing, which all hosts are within.
is_within(_, "") -> true;
is_within(Name, Name) -> true;
is_within(Host, Name) -> lists:suffix("." ++ Name, Host).

proxy(Proxy) ->
    Url = case string:find(Proxy, "://") of
        nomatch -> "http://" ++ Proxy;
        _ -> Proxy
    end,
    case uri_string:parse(Url) of
        #{userinfo := _} ->
            cannot("the proxy asks for a name and a password, which OTP's client cannot give", []);
        #{scheme := "http", host := Host} = Parts ->
            {Host, maps:get(port, Parts, 80)};
        _ ->
            cannot("the proxy ~ts is no http://HOST:PORT", [Proxy])
    end.

%%% What went wrong

-spec describe(term()) -> unicode:chardata().
describe({failed_connect, Facts}) ->
    Where = [io_lib:format("~ts:~b", [Host, Port]) || {to_address, {Host, Port}} <- Facts],
    Why = [describe(Reason) || {_, _, Reason} <- Facts],
    io_lib:format("no connection to ~ts: ~ts", [lists:join(", ", Where), lists:join(", ", Why)]);
describe({tls_alert, {_, Text}}) ->
    ["TLS: ", string:trim(Text)];
describe({shutdown, Reason}) ->
    describe(Reason);
describe(Reason) when is_atom(Reason) ->
    case inet:format_error(Reason) of
        "unknown POSIX error" -> atom_to_list(Reason);
        Text -> Text
    end;
describe(Reason) ->
    io_lib:format("~0tp", [Reason]).

-spec cannot(string(), [term()]) -> no_return().
cannot(Format, Arguments) ->
    throw({cannot, io_lib:format(Format, Arguments)}).
