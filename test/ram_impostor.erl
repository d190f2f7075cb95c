%% A peer that knows the cookie and follows no rule: ram's handshake and frames by hand, to say what
%% no member says. It comes under any id, and can be listened for at an address of its own.
-module(ram_impostor).

-export([target/2, connect/2, close/1, request/3, vote_request/3, plant/3]).
-export([refuse/1, refusals/1, stop/1]).
-export_type([target/0]).

%% A member, as those know it who want to reach it; `as' is the id that the impostor comes under.
-type target() :: #{cluster := binary(), id := pos_integer(), address := binary()}.

-define(COOKIE, <<"ram_test">>).
-define(WIRE_VERSION, 4).
-define(FRAME_VERSION, 1).
-define(LIMIT_MS, 5000).
%% The verdict of a member on who was removed, and why.
-define(REFUSED, 3).
-define(REASON_REMOVED, 1).

-spec target(ram_peers:run(), pos_integer()) -> target().
target(Run, I) ->
    maps:with([cluster, id, address], ram_peers:call(Run, I, status, [])).

%% @doc Connects to the member as the member with id `As'.
-spec connect(target(), pos_integer()) -> {ok, gen_tcp:socket()} | {refused, byte()}.
connect(Target, As) ->
    connect(Target, As, <<"127.0.0.1:1">>).

connect(#{cluster := Cluster, id := Id, address := Address}, As, OwnAddress) ->
    {ok, Socket} = dial(Address),
    Hello = <<(rand:bytes(32))/binary, Cluster/binary, As:64, Id:64,
              (text(<<"impostor@here">>))/binary, (text(OwnAddress))/binary>>,
    ok = send(Socket, Hello),
    Challenge = receive_message(Socket),
    Proof = mac(<<"ram initiator">>, [Hello, Challenge]),
    ok = send(Socket, Proof),
    case receive_message(Socket) of
        <<0, _/binary>> -> {ok, Socket};
        <<?REFUSED, Code, _/binary>> -> {refused, Code}
    end.

dial(Address) ->
    [Host, Port] = string:split(Address, ":", trailing),
    gen_tcp:connect(binary_to_list(Host), binary_to_integer(Port),
                    [binary, {active, false}, {packet, raw}], ?LIMIT_MS).

%% @doc Has the member believe that the member with id `Of' is at an address.
-spec plant(target(), pos_integer(), binary()) -> ok.
plant(Target, Of, Address) ->
    {ok, Socket} = connect(Target, Of, Address),
    close(Socket).

close(Socket) ->
    gen_tcp:close(Socket).

%% @doc Sends a request and returns the bytes of the answer.
-spec request(gen_tcp:socket(), byte(), binary()) -> binary().
request(Socket, Kind, Body) ->
    Fields = <<?FRAME_VERSION, Kind, 1:64, (byte_size(Body)):32, (erlang:crc32(Body)):32>>,
    ok = gen_tcp:send(Socket, [Fields, <<(erlang:crc32(Fields)):32>>, Body]),
    {ok, <<_Version, _Kind, 1:64, Length:32, _Crc:32, _HeaderCrc:32>>} =
        gen_tcp:recv(Socket, 22, ?LIMIT_MS),
    {ok, Answer} = receive_bytes(Socket, Length),
    Answer.

%% @doc A request for a vote in a term, as a transfer of the lead, from one whose log is ahead of
%% all others.
-spec vote_request(Term :: non_neg_integer(), pos_integer(), non_neg_integer()) -> binary().
vote_request(Term, As, LastIndex) ->
    iolist_to_binary([number(Term), 1, number(As), 0,
                      1, number(Term), number(LastIndex),
                      1]).

%% bincode's variable-length integers.
number(N) when N < 251 -> <<N>>;
number(N) when N < 1 bsl 16 -> <<251, N:16/little>>;
number(N) when N < 1 bsl 32 -> <<252, N:32/little>>;
number(N) -> <<253, N:64/little>>.

%% @doc Listens as the member `Target', and tells everybody who comes that it was removed. Answers
%% with the address.
-spec refuse(target()) -> {pid(), Address :: binary()}.
refuse(Target) ->
    Starter = self(),
    Pid = spawn_link(fun() ->
                             {ok, Listener} = gen_tcp:listen(0, [binary, {active, false},
                                                                 {ip, {127, 0, 0, 1}}]),
                             {ok, Port} = inet:port(Listener),
                             Starter ! {self(), Port},
                             accept(Listener, Target, 0)
                     end),
    receive {Pid, Port} -> {Pid, iolist_to_binary(["127.0.0.1:", integer_to_list(Port)])} end.

%% @doc How often it has said so.
-spec refusals(pid()) -> non_neg_integer().
refusals(Pid) ->
    Pid ! {refusals, self()},
    receive {Pid, Count} -> Count after ?LIMIT_MS -> error(no_answer) end.

-spec stop(pid()) -> ok.
stop(Pid) ->
    unlink(Pid),
    exit(Pid, kill),
    ok.

accept(Listener, Target, Count) ->
    receive {refusals, From} -> From ! {self(), Count} after 0 -> ok end,
    case gen_tcp:accept(Listener, 20) of
        {ok, Socket} ->
            Refused = try refuse_one(Socket, Target) catch error:_ -> 0 end,
            ok = gen_tcp:close(Socket),
            accept(Listener, Target, Count + Refused);
        {error, timeout} ->
            accept(Listener, Target, Count)
    end.

refuse_one(Socket, #{cluster := Cluster, id := Id, address := Address}) ->
    Hello = receive_message(Socket),
    Challenge = rand:bytes(32),
    ok = send(Socket, Challenge),
    Proof = receive_message(Socket),
    Welcome = <<?REFUSED, ?REASON_REMOVED, Cluster/binary, Id:64,
                (text(<<"impostor@here">>))/binary, (text(Address))/binary>>,
    Mac = mac(<<"ram acceptor">>, [Hello, Challenge, Proof, Welcome]),
    ok = send(Socket, <<Welcome/binary, Mac/binary>>),
    1.

text(Text) ->
    <<(byte_size(Text)), Text/binary>>.

mac(Role, Said) ->
    Parts = [[<<(byte_size(Part)):64>>, Part] || Part <- Said],
    crypto:mac(hmac, sha256, ?COOKIE, [Role, <<?WIRE_VERSION:16>>, Parts]).

send(Socket, Payload) ->
    gen_tcp:send(Socket, [<<"ram!", ?WIRE_VERSION:16, (byte_size(Payload)):16>>, Payload]).

receive_message(Socket) ->
    {ok, <<"ram!", ?WIRE_VERSION:16, Length:16>>} = gen_tcp:recv(Socket, 8, ?LIMIT_MS),
    {ok, Payload} = receive_bytes(Socket, Length),
    Payload.

receive_bytes(_Socket, 0) -> {ok, <<>>};
receive_bytes(Socket, Length) -> gen_tcp:recv(Socket, Length, ?LIMIT_MS).
