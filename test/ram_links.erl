%% The wires between members: a TCP proxy in front of each, which knows where a connection comes
%% from by its address, and can be cut for each ordered pair.
-module(ram_links).

-export([start/0, stop/1, link_to/3, cut/3, cut_both/3, break_after/4, heal/1]).

%% @doc Starts the wires of one run.
start() ->
    Owner = self(),
    spawn_link(fun() -> process_flag(trap_exit, true), loop(Owner, #{}, #{}, []) end).

stop(Links) ->
    ask(Links, stop).

%% @doc The port of the proxy in front of node I, which has this address.
link_to(Links, I, Address) ->
    {port, Port} = ask(Links, {link_to, I, Address}),
    Port.

%% @doc Nothing passes from node A to node B any more, and open connections are closed.
cut(Links, A, B) ->
    ask(Links, {cut, A, B}).

%% @doc Nothing passes between the nodes of two groups.
cut_both(Links, Left, Right) ->
    [ask(Links, {cut, A, B}) || A <- Left, B <- Right],
    [ask(Links, {cut, B, A}) || A <- Left, B <- Right],
    ok.

%% @doc The next connection from node A to node B breaks after it has carried so many bytes; the
%% present ones break now.
break_after(Links, A, B, Bytes) ->
    ask(Links, {break_after, A, B, Bytes}).

heal(Links) ->
    ask(Links, heal).

ask(Links, Request) ->
    Monitor = monitor(process, Links),
    Links ! {Monitor, self(), Request},
    receive
        {Monitor, Reply} -> demonitor(Monitor, [flush]), Reply;
        {'DOWN', Monitor, process, _, Reason} -> error({links, Reason})
    after 10000 -> error(timeout)
    end.

%% Fronts: I => {Address, Port, Listener}. Pipes: pid => {A, B}. Cuts: [{A, B} | {A, B, Bytes}].
loop(Owner, Fronts, Pipes, Cuts) ->
    receive
        {Ref, From, stop} ->
            [gen_tcp:close(Listener) || {_, _, Listener} <- maps:values(Fronts)],
            [exit(Pipe, kill) || Pipe <- maps:keys(Pipes)],
            From ! {Ref, ok};
        {Ref, From, {link_to, I, Address}} when is_map_key(I, Fronts) ->
            {_, Port, Listener} = maps:get(I, Fronts),
            From ! {Ref, {port, Port}},
            loop(Owner, Fronts#{I := {Address, Port, Listener}}, Pipes, Cuts);
        {Ref, From, {link_to, I, Address}} ->
            {ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}},
                                                {backlog, 128}, {nodelay, true}]),
            {ok, Port} = inet:port(Listener),
            Self = self(),
            spawn_link(fun() -> accept(Self, I, Listener) end),
            From ! {Ref, {port, Port}},
            loop(Owner, Fronts#{I => {Address, Port, Listener}}, Pipes, Cuts);
        {Ref, From, {cut, A, B}} ->
            [exit(Pipe, kill) || {Pipe, Pair} <- maps:to_list(Pipes), Pair =:= {A, B}],
            From ! {Ref, ok},
            loop(Owner, Fronts, Pipes, [{A, B} | Cuts]);
        {Ref, From, {break_after, A, B, Bytes}} ->
            [exit(Pipe, kill) || {Pipe, Pair} <- maps:to_list(Pipes), Pair =:= {A, B}],
            From ! {Ref, ok},
            loop(Owner, Fronts, Pipes, [{A, B, Bytes} | Cuts]);
        {Ref, From, heal} ->
            From ! {Ref, ok},
            loop(Owner, Fronts, Pipes, []);
        {Ref, From, {may_pass, Source, B}} ->
            A = node_at(Source, Fronts),
            case lists:member({A, B}, Cuts) of
                true ->
                    From ! {Ref, cut},
                    loop(Owner, Fronts, Pipes, Cuts);
                false ->
                    {Address, Port, _} = maps:get(B, Fronts),
                    Breaks = [Bytes || {From0, To, Bytes} <- Cuts, From0 =:= A, To =:= B],
                    From ! {Ref, {ok, Address, Port, hd(Breaks ++ [infinity])}},
                    Left = [Cut || Cut <- Cuts, tuple_size(Cut) =:= 2 orelse
                                       {element(1, Cut), element(2, Cut)} =/= {A, B}],
                    loop(Owner, Fronts, Pipes#{From => {A, B}}, Left)
            end;
        {'EXIT', Owner, _} ->
            [exit(Pipe, kill) || Pipe <- maps:keys(Pipes)];
        {'EXIT', Pipe, _} ->
            loop(Owner, Fronts, maps:remove(Pipe, Pipes), Cuts)
    end.

node_at(Source, Fronts) ->
    case [I || {I, {Address, _, _}} <- maps:to_list(Fronts), Address =:= Source] of
        [I] -> I;
        [] -> unknown
    end.

accept(Links, B, Listener) ->
    case gen_tcp:accept(Listener) of
        {ok, Socket} ->
            Pipe = spawn(fun() -> receive go -> pipe(Links, B, Socket) end end),
            ok = gen_tcp:controlling_process(Socket, Pipe),
            Pipe ! go,
            accept(Links, B, Listener);
        {error, _} ->
            ok
    end.

%% A member listens on its own address at the port of its proxy. Ending this process closes both
%% sockets.
pipe(Links, B, Socket) ->
    link(Links),
    {ok, {Source, _}} = inet:peername(Socket),
    case ask(Links, {may_pass, inet:ntoa(Source), B}) of
        {ok, Address, Port, Bytes} ->
            {ok, Ip} = inet:parse_address(Address),
            case gen_tcp:connect(Ip, Port, [binary, {active, false}, {nodelay, true}], 1000) of
                {ok, Onward} -> forward(Socket, Onward, Bytes);
                {error, _} -> gen_tcp:close(Socket)
            end;
        cut ->
            gen_tcp:close(Socket)
    end.

forward(One, Other, Bytes) ->
    ok = inet:setopts(One, [{active, 64}]),
    ok = inet:setopts(Other, [{active, 64}]),
    forward_loop(One, Other, Bytes).

%% Left: how many bytes of One may pass, a number or infinity.
forward_loop(_One, _Other, Left) when Left =< 0 ->
    ok;
forward_loop(One, Other, Left) ->
    receive
        {tcp, One, Bytes} -> send(Other, Bytes), forward_loop(One, Other, less(Left, Bytes));
        {tcp, Other, Bytes} -> send(One, Bytes), forward_loop(One, Other, Left);
        {tcp_passive, Socket} ->
            ok = inet:setopts(Socket, [{active, 64}]),
            forward_loop(One, Other, Left);
        {tcp_closed, _} -> ok;
        {tcp_error, _, _} -> ok
    end.

less(infinity, _Bytes) -> infinity;
less(Left, Bytes) -> Left - byte_size(Bytes).

send(Socket, Bytes) ->
    case gen_tcp:send(Socket, Bytes) of
        ok -> ok;
        {error, _} -> exit(normal)
    end.
