%% An HTTPS server on loopback that gives some files, and a proxy that connects to it.
%%
%% The server's certificate is of an authority made for it, and for the name `localhost'. Both end
%% with the process that started them, and count the requests that they took.
-module(ram_https).

-include_lib("public_key/include/public_key.hrl").

-export([start/2, start_proxy/0, url/1, port/1, requests/1]).
-export_type([server/0, answer/0]).

-opaque server() :: {inet:port_number(), counters:counters_ref()}.
%% `cut': half of it, though the whole was announced.
-type answer() :: {file, binary()} | {cut, binary()} | {redirect, string()}.

%% @doc The authority's certificate is written into a file.
-spec start(#{string() => answer()}, file:filename()) -> server().
start(Answers, AuthorityFile) ->
    {ok, _} = application:ensure_all_started(ssl),
    #{server_config := Own, client_config := Theirs} = certificates(),
    Authorities = [{'Certificate', Der, not_encrypted}
                   || Der <- proplists:get_value(cacerts, Theirs)],
    ok = file:write_file(AuthorityFile, public_key:pem_encode(Authorities)),
    Options = [binary, {ip, {127, 0, 0, 1}}, {active, false}, {packet, http_bin},
               {reuseaddr, true}, {log_level, none} | Own],
    {ok, Listener} = ssl:listen(0, Options),
    {ok, {_, Port}} = ssl:sockname(Listener),
    Requests = counters:new(1, []),
    spawn_link(fun() -> accept(Listener, Answers, Requests) end),
    {Port, Requests}.

%% Keys of RSA take seconds to make; and OTP would sign by SHA-1, which it believes no more.
certificates() ->
    Key = [{key, {namedCurve, secp256r1}}, {digest, sha256}],
    Name = #'Extension'{extnID = ?'id-ce-subjectAltName', extnValue = [{dNSName, "localhost"}],
                        critical = false},
    Chain = #{root => Key, intermediates => [], peer => [{extensions, [Name]} | Key]},
    public_key:pkix_test_data(#{server_chain => Chain, client_chain => Chain}).

-spec url(server()) -> string().
url(Server) ->
    lists:concat(["https://localhost:", port(Server)]).

-spec port(server()) -> inet:port_number().
port({Port, _}) -> Port.

-spec requests(server()) -> non_neg_integer().
requests({_, Requests}) ->
    counters:get(Requests, 1).

%% Until the listener ends with its owner.
accept(Listener, Answers, Requests) ->
    case ssl:transport_accept(Listener) of
        {ok, Connection} ->
            Serve = fun() -> serve(Connection, Answers, Requests) end,
            Server = spawn_link(fun() -> receive go -> Serve() end end),
            ok = ssl:controlling_process(Connection, Server),
            Server ! go,
            accept(Listener, Answers, Requests);
        {error, closed} ->
            ok
    end.

%% A client that does not trust this server ends the connection.
serve(Connection, Answers, Requests) ->
    case ssl:handshake(Connection) of
        {ok, Socket} ->
            _ = respond(Socket, ssl:recv(Socket, 0), Answers, Requests),
            ssl:close(Socket);
        {error, _} ->
            ok
    end.

respond(Socket, {ok, {http_request, 'GET', {abs_path, Path}, _}}, Answers, Requests) ->
    counters:add(Requests, 1, 1),
    ok = skip_headers(Socket),
    ok = ssl:setopts(Socket, [{packet, raw}]),
    ssl:send(Socket, answer(maps:get(binary_to_list(Path), Answers, none)));
respond(_, {error, _}, _, _) ->
    ok.

skip_headers(Socket) ->
    case ssl:recv(Socket, 0) of
        {ok, http_eoh} -> ok;
        {ok, _} -> skip_headers(Socket)
    end.

answer({file, Bytes}) ->
    head("200 OK", Bytes, "", Bytes);
answer({cut, Bytes}) ->
    head("200 OK", Bytes, "", binary:part(Bytes, 0, byte_size(Bytes) div 2));
answer({redirect, To}) ->
    head("302 Found", <<>>, ["location: ", To, "\r\n"], <<>>);
answer(none) ->
    head("404 Not Found", <<>>, "", <<>>).

head(Status, Announced, Headers, Bytes) ->
    Length = integer_to_list(byte_size(Announced)),
    ["HTTP/1.1 ", Status, "\r\ncontent-length: ", Length, "\r\nconnection: close\r\n", Headers,
     "\r\n", Bytes].

%%% A proxy that knows CONNECT alone

-spec start_proxy() -> server().
start_proxy() ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false},
                                        {packet, http_bin}]),
    {ok, Port} = inet:port(Listener),
    Requests = counters:new(1, []),
    spawn_link(fun() -> accept_proxied(Listener, Requests) end),
    {Port, Requests}.

accept_proxied(Listener, Requests) ->
    case gen_tcp:accept(Listener) of
        {ok, Client} ->
            Relay = spawn_link(fun() -> receive go -> connect(Client, Requests) end end),
            ok = gen_tcp:controlling_process(Client, Relay),
            Relay ! go,
            accept_proxied(Listener, Requests);
        {error, closed} ->
            ok
    end.

connect(Client, Requests) ->
    {ok, {http_request, <<"CONNECT">>, Where, _}} = gen_tcp:recv(Client, 0),
    counters:add(Requests, 1, 1),
    ok = skip_proxied_headers(Client),
    {scheme, <<"localhost">>, Port} = Where,
    {ok, Server} = gen_tcp:connect({127, 0, 0, 1}, binary_to_integer(Port), [binary]),
    ok = gen_tcp:send(Client, "HTTP/1.1 200 Connection established\r\n\r\n"),
    ok = inet:setopts(Client, [{packet, raw}, {active, true}]),
    relay(Client, Server).

skip_proxied_headers(Client) ->
    case gen_tcp:recv(Client, 0) of
        {ok, http_eoh} -> ok;
        {ok, _} -> skip_proxied_headers(Client)
    end.

relay(Client, Server) ->
    receive
        {tcp, Client, Bytes} -> _ = gen_tcp:send(Server, Bytes), relay(Client, Server);
        {tcp, Server, Bytes} -> _ = gen_tcp:send(Client, Bytes), relay(Client, Server);
        {tcp_closed, Client} -> gen_tcp:close(Server);
        {tcp_closed, Server} -> gen_tcp:close(Client)
    end.
