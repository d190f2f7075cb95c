%% The wires between members: a TCP proxy in front of each, which knows where a connection comes
%% from by its address. A wire is an ordered pair of nodes; each has a quality of its own:
%%
%%     cut                 connections that A opens to B are closed, and no new one is made
%%     held                nothing that A sends reaches B, whoever opened the connection; it comes
%%                         when the wire is mended, if the connection lives so long
%%     {slow, Ms, More}    what A sends to B comes Ms later, and up to More, in order
%%     {lossy, Ms, N}      of N pieces one comes Ms later, as if it had been sent twice, and of
%%                         10 N pieces one breaks the connection: TCP itself loses no byte
%%     {breaks, Bytes}     a connection breaks when it has carried so many bytes from A to B
-module(ram_links).

-export([start/0, stop/1, link_to/3, cut/3, cut_both/3, hold/3, tune/4, freeze/3, heal/1]).
-export_type([quality/0]).

-type quality() :: open | cut | held | {slow, non_neg_integer(), non_neg_integer()}
                 | {lossy, non_neg_integer(), pos_integer()} | {breaks, pos_integer()}.

%% `fronts' are the proxies, `pipes' the connections, `wires' what is not open.
-record(links, {owner :: pid(),
                fronts = #{} :: #{pos_integer() => {string(), inet:port_number(), port()}},
                pipes = #{} :: #{pid() => {A :: pos_integer() | unknown, B :: pos_integer()}},
                wires = #{} :: #{{pos_integer(), pos_integer()} => quality()}}).

%% @doc Starts the wires of one run.
start() ->
    Owner = self(),
    spawn_link(fun() -> process_flag(trap_exit, true), loop(#links{owner = Owner}) end).

stop(Links) ->
    ask(Links, stop).

%% @doc The port of the proxy in front of node I, which has this address.
link_to(Links, I, Address) ->
    {port, Port} = ask(Links, {link_to, I, Address}),
    Port.

%% @doc Node A reaches node B no more, and the connections it has made are closed.
cut(Links, A, B) ->
    tune(Links, A, B, cut).

%% @doc Nothing passes between the nodes of two groups.
cut_both(Links, Left, Right) ->
    [cut(Links, A, B) || A <- Left, B <- Right],
    [cut(Links, B, A) || A <- Left, B <- Right],
    ok.

%% @doc What node A sends no longer reaches node B; nothing is closed.
hold(Links, A, B) ->
    tune(Links, A, B, held).

-spec tune(pid(), pos_integer(), pos_integer(), quality()) -> ok.
tune(Links, A, B, Quality) ->
    ask(Links, {tune, {A, B}, Quality}).

%% @doc What node A has connected to node B carries nothing any more, as when a firewall has lost
%% its state: no end is told, and a new connection is as good as any.
freeze(Links, A, B) ->
    ask(Links, {freeze, {A, B}}).

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

loop(#links{owner = Owner, fronts = Fronts, pipes = Pipes} = Links) ->
    receive
        {'EXIT', Owner, _} ->
            close(maps:keys(Pipes));
        {'EXIT', Pipe, _} ->
            loop(Links#links{pipes = maps:remove(Pipe, Pipes)});
        {Ref, From, stop} ->
            [gen_tcp:close(Listener) || {_, _, Listener} <- maps:values(Fronts)],
            close(maps:keys(Pipes)),
            From ! {Ref, ok};
        {Ref, From, Request} ->
            {Reply, Changed} = serve(Request, From, Links),
            From ! {Ref, Reply},
            loop(Changed)
    end.

serve({link_to, I, Address}, _From, #links{fronts = Fronts} = Links) ->
    case Fronts of
        #{I := {_, Port, _}} ->
            {{port, Port}, Links};
        #{} ->
            {Port, Listener} = listen(),
            Self = self(),
            spawn_link(fun() -> accept(Self, I, Listener) end),
            {{port, Port}, Links#links{fronts = Fronts#{I => {Address, Port, Listener}}}}
    end;
serve({tune, Wire, Quality}, _From, #links{pipes = Pipes, wires = Wires} = Links) ->
    Quality =:= cut andalso close([Pipe || {Pipe, Pair} <- maps:to_list(Pipes), Pair =:= Wire]),
    {ok, announced(Links#links{wires = Wires#{Wire => Quality}})};
serve({freeze, Wire}, _From, #links{pipes = Pipes} = Links) ->
    [Pipe ! {tuned, [held, held]} || {Pipe, Pair} <- maps:to_list(Pipes), Pair =:= Wire],
    {ok, Links};
serve(heal, _From, Links) ->
    {ok, announced(Links#links{wires = #{}})};
serve({may_pass, Source, B}, From, #links{fronts = Fronts, pipes = Pipes, wires = Wires} = Links) ->
    A = node_at(Source, Fronts),
    case maps:get({A, B}, Wires, open) of
        cut ->
            {cut, Links};
        _ ->
            {Address, Port, _} = maps:get(B, Fronts),
            Reply = {ok, {Address, Port}, qualities(A, B, Wires)},
            {Reply, Links#links{pipes = Pipes#{From => {A, B}}}}
    end.

%% The member listens at this port too, on its own address: a port that the system gives to no
%% connection by itself, since one that lingers there from an earlier run would be in its way.
listen() ->
    Port = 16384 + rand:uniform(16384) - 1,
    case gen_tcp:listen(Port, [binary, {active, false}, {ip, {127, 0, 0, 1}},
                               {backlog, 128}, {nodelay, true}]) of
        {ok, Listener} -> {Port, Listener};
        {error, eaddrinuse} -> listen()
    end.

%% Every connection knows what its two directions are like now.
announced(#links{pipes = Pipes, wires = Wires} = Links) ->
    maps:foreach(fun(Pipe, {A, B}) -> Pipe ! {tuned, qualities(A, B, Wires)} end, Pipes),
    Links.

%% A cut is of connections: those that B made to A before are not touched by a cut of {A, B}.
qualities(A, B, Wires) ->
    [case maps:get(Wire, Wires, open) of cut -> open; Quality -> Quality end
     || Wire <- [{A, B}, {B, A}]].

close(Pipes) ->
    [exit(Pipe, kill) || Pipe <- Pipes],
    ok.

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
        {ok, {Address, Port}, Qualities} ->
            {ok, Ip} = inet:parse_address(Address),
            case gen_tcp:connect(Ip, Port, [binary, {active, false}, {nodelay, true}], 1000) of
                {ok, Onward} -> ram_wire:forward(Socket, Onward, Qualities);
                {error, _} -> gen_tcp:close(Socket)
            end;
        cut ->
            gen_tcp:close(Socket)
    end.
